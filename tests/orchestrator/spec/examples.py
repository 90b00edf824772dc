"""A stack file that uses every key there is."""

FULL = """\
name: full
x-top: {price: $$5}
services:
  web:
    image: web
    annotations: {a: b}
    attach: false
    blkio_config: {weight: 300, weight_device: [{path: /dev/a, weight: 4}]}
    build:
      context: .
      args: {A: 1, B: }
      ssh: [default, k=./key]
      labels: [a=b]
      cache_from: [type=local]
      additional_contexts: {x: ./x}
      secrets: [key]
      ulimits: {nofile: 5}
      platforms: [linux/amd64]
    cap_add: [NET_ADMIN]
    cap_drop: [ALL]
    cgroup: private
    cgroup_parent: /x
    command: sh -c 'echo $$HOME'
    configs: [{source: conf, target: /conf, mode: 0440}]
    container_name: web-one
    cpu_count: 1
    cpu_percent: 50
    cpu_period: 100000
    cpu_quota: 50000
    cpu_rt_period: 1000
    cpu_rt_runtime: 900
    cpu_shares: 512
    cpus: 1.5
    cpuset: 0-1
    credential_spec: {file: x}
    depends_on: {db: {condition: service_healthy, restart: true}}
    deploy:
      mode: replicated
      endpoint_mode: vip
      labels: {d: e}
      resources:
        limits: {cpus: '1.5', memory: 64m, pids: 100}
        reservations:
          cpus: '0.5'
          memory: 32m
          devices: [{capabilities: [gpu], count: all}]
          generic_resources: [{discrete_resource_spec: {kind: gpu, value: 2}}]
      restart_policy: {condition: on-failure, delay: 5s, max_attempts: 3, window: 120s}
      update_config: {parallelism: 2, delay: 10s, order: start-first, max_failure_ratio: 0.3}
      rollback_config: {parallelism: 1, monitor: 1m}
      placement: {constraints: [a==b], preferences: [{spread: x}], max_replicas_per_node: 2}
    develop: {watch: [{path: ./src, action: sync+exec, target: /s, exec: {command: x}}]}
    device_cgroup_rules: ['c 1:3 mr']
    devices: ['/dev/null:/dev/x:r']
    dns: [1.1.1.1]
    dns_opt: [use-vc]
    dns_search: [a.b]
    domainname: d.e
    entrypoint: [run]
    env_file: [{path: no.env, required: false}]
    environment: {A: 'a$$b', B: }
    expose: [80]
    external_links: [other]
    extra_hosts: {h: 1.2.3.4}
    gpus: all
    group_add: [mail]
    healthcheck: {test: [CMD, x], interval: 1m30s, timeout: 5s, retries: 2, start_period: 1s}
    hostname: web
    init: true
    ipc: shareable
    isolation: x
    labels: {l: ''}
    links: [db]
    logging: {driver: local, options: {max-size: 1m}}
    mac_address: '02:00:00:00:00:01'
    mem_limit: 64m
    mem_reservation: 32m
    mem_swappiness: 10
    memswap_limit: -1
    models: {llm: {model_var: M}}
    networks: {front: {aliases: [x], ipv4_address: 10.5.0.9, priority: 1}, back: }
    oom_kill_disable: true
    oom_score_adj: 5
    pid: host
    pids_limit: 100
    platform: linux/amd64
    ports: ['8080:80', '127.0.0.1:53:53/udp', {target: 81, mode: host, name: n}]
    post_start: [{command: a, user: u, environment: [A=1]}]
    pre_start: [{command: [b], image: c}]
    pre_stop: [{command: c, privileged: true, working_dir: /}]
    privileged: true
    profiles: [p]
    pull_policy: always
    read_only: true
    restart: on-failure:3
    runtime: crun
    secrets: [key, {source: key, target: other, uid: '1'}]
    security_opt: ['no-new-privileges:true']
    shm_size: 1m
    stdin_open: true
    stop_grace_period: 1m30s
    stop_signal: SIGINT
    storage_opt: {size: 1G}
    sysctls: {net.core.somaxconn: 1024}
    tmpfs: /run
    tty: true
    ulimits: {nofile: 5, nproc: {soft: 1, hard: 2}}
    use_api_socket: true
    user: '1:1'
    userns_mode: host
    uts: host
    volumes:
      - data:/data:ro
      - ./src:/src
      - {type: tmpfs, target: /t, tmpfs: {size: 1k}}
      - {type: bind, source: /x, target: /x, bind: {propagation: rslave, create_host_path: false}}
    volumes_from: [db]
    working_dir: /w
    x-pyorch: {dns: all}
    x-own: {y: 1}
  db: {image: db, healthcheck: {test: 'true'}, networks: [back], provider: {type: p}}
networks:
  front: {driver: bridge, ipam: {config: [{subnet: 10.5.0.0/16}]}, labels: [a=b]}
  back: {internal: true, enable_ipv6: true}
volumes: {data: {driver: local, driver_opts: {o: bind, type: none, device: ./d}}}
configs: {conf: {content: 'x$$y'}}
secrets: {key: {file: ./key}}
models: {llm: {model: ai, context_size: 10, runtime_flags: [-x]}}
x-pyorch: {logs: 2gb, resources: {cpus: 4}}
"""
