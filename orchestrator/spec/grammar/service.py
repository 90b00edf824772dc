"""What a service may hold: all its keys."""

from orchestrator.spec.grammar.building import (
    BUILD,
    DEVELOP,
    HOOKS,
    PRE_START,
)
from orchestrator.spec.grammar.common import (
    COMMAND,
    DEVICE_REQUEST,
    DRIVER_OPTS,
    DURATION,
    EXTRA_HOSTS,
    INTEGER,
    LIST_OR_MAP,
    MOUNTED_FILES,
    NAME,
    NULL,
    NUMBER,
    STRING,
    STRING_OR_LIST,
    STRINGS,
    TRUTH,
    ULIMITS,
    UNIQUE_STRINGS,
)
from orchestrator.spec.grammar.deploy import (
    DEPLOY,
)
from orchestrator.spec.grammar.shapes import Anything, ListOf, MapOf, Record, either, scalar

HEALTHCHECK = Record(
    {
        "disable": TRUTH,
        "interval": DURATION,
        "retries": NUMBER,
        "test": either(STRING, STRINGS),
        "timeout": DURATION,
        "start_period": DURATION,
        "start_interval": DURATION,
    }
)

BLKIO_LIMITS = ListOf(Record({"path": STRING, "rate": INTEGER}, extensible=False))
BLKIO_WEIGHTS = ListOf(Record({"path": STRING, "weight": INTEGER}, extensible=False))

VOLUME_MOUNT = Record(
    {
        "type": scalar("string", words=("bind", "volume", "tmpfs", "cluster", "npipe", "image")),
        "source": STRING,
        "target": STRING,
        "read_only": TRUTH,
        "consistency": STRING,
        "bind": Record(
            {
                "propagation": STRING,
                "create_host_path": TRUTH,
                "recursive": scalar(
                    "string", words=("enabled", "disabled", "writable", "readonly")
                ),
                "selinux": scalar("string", words=("z", "Z")),
            }
        ),
        "volume": Record({"labels": LIST_OR_MAP, "nocopy": TRUTH, "subpath": STRING}),
        "tmpfs": Record({"size": scalar("integer", "string", least=0), "mode": NUMBER}),
        "image": Record({"subpath": STRING}),
    },
    required=("type",),
)

ATTACHMENT = Record(
    {
        "aliases": UNIQUE_STRINGS,
        "interface_name": STRING,
        "ipv4_address": STRING,
        "ipv6_address": STRING,
        "link_local_ips": UNIQUE_STRINGS,
        "mac_address": STRING,
        "driver_opts": DRIVER_OPTS,
        "priority": scalar("number"),
        "gw_priority": scalar("number"),
    }
)

DEPENDENCY = Record(
    {
        "restart": TRUTH,
        "required": TRUTH,
        "condition": scalar(
            "string",
            words=("service_started", "service_healthy", "service_completed_successfully"),
        ),
    },
    required=("condition",),
)

SERVICE = Record(
    {
        "annotations": LIST_OR_MAP,
        "attach": TRUTH,
        "blkio_config": Record(
            {
                "device_read_bps": BLKIO_LIMITS,
                "device_read_iops": BLKIO_LIMITS,
                "device_write_bps": BLKIO_LIMITS,
                "device_write_iops": BLKIO_LIMITS,
                "weight": INTEGER,
                "weight_device": BLKIO_WEIGHTS,
            },
            extensible=False,
        ),
        "build": either(STRING, BUILD),
        "cap_add": UNIQUE_STRINGS,
        "cap_drop": UNIQUE_STRINGS,
        "cgroup": scalar("string", words=("host", "private")),
        "cgroup_parent": STRING,
        "command": COMMAND,
        "configs": MOUNTED_FILES,
        "container_name": scalar("string", pattern=r"[a-zA-Z0-9][a-zA-Z0-9_.-]+"),
        "cpu_count": scalar("integer", "string", least=0),
        "cpu_percent": scalar("number", "string", least=0, most=100),
        "cpu_period": NUMBER,
        "cpu_quota": NUMBER,
        "cpu_rt_period": NUMBER,
        "cpu_rt_runtime": NUMBER,
        "cpu_shares": NUMBER,
        "cpus": NUMBER,
        "cpuset": STRING,
        "credential_spec": Record({"config": STRING, "file": STRING, "registry": STRING}),
        "depends_on": either(UNIQUE_STRINGS, MapOf(DEPENDENCY, keys=NAME)),
        "deploy": either(NULL, DEPLOY),
        "develop": either(NULL, DEVELOP),
        "device_cgroup_rules": UNIQUE_STRINGS,
        "devices": ListOf(
            either(
                STRING,
                Record(
                    {"source": STRING, "target": STRING, "permissions": STRING},
                    required=("source",),
                ),
            )
        ),
        "dns": STRING_OR_LIST,
        "dns_opt": UNIQUE_STRINGS,
        "dns_search": STRING_OR_LIST,
        "domainname": STRING,
        "entrypoint": COMMAND,
        "env_file": either(
            STRING,
            ListOf(
                either(
                    STRING,
                    Record(
                        {"path": STRING, "format": STRING, "required": TRUTH},
                        required=("path",),
                        extensible=False,
                    ),
                )
            ),
        ),
        "environment": LIST_OR_MAP,
        "expose": ListOf(scalar("string", "number"), unique=True),
        "extends": either(
            STRING,
            Record({"service": STRING, "file": STRING}, required=("service",), extensible=False),
        ),
        "external_links": UNIQUE_STRINGS,
        "extra_hosts": EXTRA_HOSTS,
        "gpus": either(
            scalar("string", words=("all",)), ListOf(Record(DEVICE_REQUEST, closed=False))
        ),
        "group_add": ListOf(scalar("string", "number"), unique=True),
        "healthcheck": HEALTHCHECK,
        "hostname": STRING,
        "image": STRING,
        "init": TRUTH,
        "ipc": STRING,
        "isolation": STRING,
        "label_file": either(STRING, STRINGS),
        "labels": LIST_OR_MAP,
        "links": UNIQUE_STRINGS,
        "logging": Record({"driver": STRING, "options": MapOf(scalar("string", "number", "null"))}),
        "mac_address": STRING,
        "mem_limit": NUMBER,
        "mem_reservation": INTEGER,
        "mem_swappiness": INTEGER,
        "memswap_limit": NUMBER,
        "models": either(
            UNIQUE_STRINGS,
            MapOf(
                either(NULL, Record({"endpoint_var": STRING, "model_var": STRING})),
                keys=NAME,
                closed=False,
            ),
        ),
        "network_mode": STRING,
        "networks": either(UNIQUE_STRINGS, MapOf(either(NULL, ATTACHMENT), keys=NAME)),
        "oom_kill_disable": TRUTH,
        "oom_score_adj": scalar("integer", "string", least=-1000, most=1000),
        "pid": scalar("string", "null"),
        "pids_limit": NUMBER,
        "platform": STRING,
        "ports": ListOf(
            either(
                scalar("number", "string"),
                Record(
                    {
                        "name": STRING,
                        "mode": STRING,
                        "host_ip": STRING,
                        "target": INTEGER,
                        "published": INTEGER,
                        "protocol": STRING,
                        "app_protocol": STRING,
                    }
                ),
            ),
            unique=True,
        ),
        "post_start": HOOKS,
        "pre_start": PRE_START,
        "pre_stop": HOOKS,
        "privileged": TRUTH,
        "profiles": UNIQUE_STRINGS,
        "provider": Record(
            {
                "type": STRING,
                "options": MapOf(
                    either(
                        scalar("string", "number", "boolean"),
                        ListOf(scalar("string", "number", "boolean")),
                    )
                ),
            },
            required=("type",),
        ),
        "pull_policy": scalar(
            "string",
            pattern="always|never|build|if_not_present|missing|refresh|daily|weekly"
            "|every_([0-9]+[wdhms])+",
        ),
        "pull_refresh_after": STRING,
        "read_only": TRUTH,
        "restart": STRING,
        "runtime": STRING,
        "scale": INTEGER,
        "secrets": MOUNTED_FILES,
        "security_opt": UNIQUE_STRINGS,
        "shm_size": NUMBER,
        "stdin_open": TRUTH,
        "stop_grace_period": DURATION,
        "stop_signal": STRING,
        "storage_opt": MapOf(Anything()),
        "sysctls": LIST_OR_MAP,
        "tmpfs": STRING_OR_LIST,
        "tty": TRUTH,
        "ulimits": ULIMITS,
        "use_api_socket": TRUTH,
        "user": STRING,
        "userns_mode": STRING,
        "uts": STRING,
        "volumes": ListOf(either(STRING, VOLUME_MOUNT), unique=True),
        "volumes_from": UNIQUE_STRINGS,
        "working_dir": STRING,
    },
    renamed={
        "net": "`network_mode`, or `networks` with a network's name",
        "log_driver": "`logging.driver`",
        "log_opt": "`logging.options`",
        "volume_driver": "`driver` of a volume under top-level `volumes`",
        "dockerfile": "`build.dockerfile`",
        "extends_from": "`extends`",
        "memory": "`mem_limit`",
        "cpu": "`cpus`",
        "ports_mapping": "`ports`",
        "env": "`environment`",
        "envs": "`environment`",
        "cmd": "`command`",
        "name": "by its key under `services`, or `container_name`,",
        "replicas": "`deploy.replicas` or `scale`",
        "resources": "`deploy.resources`",
        "restart_policy": "`restart` or `deploy.restart_policy`",
        "mem_swap_limit": "`memswap_limit`",
        "memory_swap": "`memswap_limit`",
        "cpuset_cpus": "`cpuset`",
    },
)
