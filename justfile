# Recipes; `just` alone lists them. `check` never edits, `fix` does.

python := ".venv/bin/python"
bin := ".venv/bin"

# list the recipes
default:
    @just --list --unsorted

# lint, types, contracts, generated files: edits nothing
check:
    {{bin}}/ruff check
    {{bin}}/ruff format --check
    {{bin}}/mypy
    {{bin}}/lint-imports
    {{python}} -m doorward.api.schema --check crds
    PYTHONPATH=hack {{python}} -m reference --check

# let the tools repair what they can, and generate what is generated
fix:
    {{bin}}/ruff check --fix
    {{bin}}/ruff format
    {{python}} -m doorward.api.schema crds
    PYTHONPATH=hack {{python}} -m imagebuild charts
    PYTHONPATH=hack {{python}} -m imagebuild copies
    PYTHONPATH=hack {{python}} -m reference

# seconds, no root, no network
unit *args:
    {{bin}}/pytest tests/unit tests/architecture tests/docs -n 2 --dist loadfile {{args}}

# 10,000 generated requests against generated roles, and as many conditions against their proof: minutes
properties *args:
    DOORWARD_EXAMPLES=10000 {{bin}}/pytest tests/unit/policy/test_properties.py tests/unit/policy/test_provenance.py \
        --timeout 0 -n 2 {{args}}

# a real kube-apiserver and etcd, and the charts through the real helm
api *args:
    {{bin}}/pytest tests/api tests/chart -n 2 --dist loadfile --no-loadscope-reorder {{args}}

# the same on the API server of another minor of Kubernetes: 1.33, 1.35 or 1.36; the first time it is compiled
api-on minor *args:
    DOORWARD_API_MINOR={{minor}} just api {{args}}

# the same on each minor that is supported
api-minors *args:
    for minor in 1.33 1.34 1.35 1.36; do just api-on $minor {{args}} || exit 1; done

# the whole node: kubelet, containerd, NetworkPolicy, Gitea
e2e *args:
    {{bin}}/pytest tests/e2e {{args}}

# ledger, actions and revocation in one run, and a table of what is promised: six minutes, on a quiet machine
bench:
    PYTHONPATH=hack:tests/support:tests/bench:tests/bench/revocation {{python}} tests/bench

# what the whole path adds to an action and how many actions a second it carries, beside the same request sent straight, and over the same hops with nothing in them
bench-actions *args:
    PYTHONPATH=hack:tests/support:tests/bench:tests/bench/revocation {{python}} tests/bench/actions {{args}}

# how long after a Revocation something of it is still redeemed
bench-revocation *args:
    PYTHONPATH=hack:tests/support {{python}} tests/bench/revocation {{args}}

# upgrade, roll-back, drain, uninstall, rotation and two brokers on PostgreSQL: twenty minutes on the cluster that is up, alone
lifecycle *args:
    DOORWARD_TEST_RESTART=yes {{bin}}/pytest tests/e2e/test_lifecycle.py tests/e2e/test_rotation.py \
        tests/e2e/test_postgresql.py {{args}}

# what others notice while one agent floods
bench-flood *args:
    PYTHONPATH=hack:tests/support:tests/bench/revocation {{python}} tests/bench/flood {{args}}

# write the locks again: dependencies as of a week ago, so that a fresh malicious release has time to be found
lock:
    hack/lock

# what a full check of a pod costs in admission, beside a webhook that checks nothing: minutes, on a quiet machine
bench-admission *args:
    PYTHONPATH=tests/support {{python}} tests/bench/admission {{args}}

# coverage-guided input for the reader and the judgement of admission; a fault ends it and leaves the input in .lab/
fuzz-admission seconds="300":
    mkdir -p .lab/admission
    PYTHONPATH=tests/support hack/lab python tests/fuzz/admission.py -max_total_time={{seconds}} -max_len=16384 \
        -timeout=20 -artifact_prefix=.lab/fault- .lab/admission

# durable decisions a second on SQLite and PostgreSQL, beside what the disk can do: a minute, on a quiet machine
bench-ledger *args:
    PYTHONPATH=tests/support:hack:tests/bench {{python}} tests/bench/ledger {{args}}

# change the guards of admission one small place at a time, or a part of them ('doorward_webhooks.admission.fence*'): a test fails, or tests/mutants.toml says why not
mutants *args:
    PYTHONPATH=hack hack/lab python -m mutants {{args}}

# 64 redeemers of one capability while brokers are killed, 1,000 times on each engine: three minutes
kill-rounds *args:
    PYTHONPATH=tests/support:hack {{python}} tests/rounds/kills.py {{args}}

# so many generated pods through the policies of a real API server and through the walk of admission
differential pods="5000" seed="7":
    DOORWARD_GENERATED_PODS={{pods}} DOORWARD_GENERATED_SEED={{seed}} {{bin}}/pytest tests/api/admission/test_floor.py --timeout 3600 -k "explained or never_refuses"

# the development cluster itself goes and comes back: nothing else may use it meanwhile
coming-and-going *args:
    DOORWARD_TEST_DESTROY=yes {{bin}}/pytest tests/e2e/cluster/test_coming_and_going.py {{args}}
