"""Defects as people write them: under other names, put together from parts, in other words; and what only looks like one."""
# ruff: noqa: E501 - a cell in one line is easier to read than one cut into pieces

from typing import Any

import pytest

from holdfast.notebook.check import check

SETUP = (
    "setup",
    "import boto3, os, requests, shutil, subprocess\nec2 = boto3.client('ec2')\nfrom holdfast import approve, ask, confirm, for_each, targets\nvols = [1]",
)

# fmt: off
#: (code, name, cells) of what must be found.
DEFECTS: list[tuple[str, str, Any]] = [
    ("NB501", "from_alias", "from holdfast import confirm as sure\nif not sure('delete?'):\n    ec2.delete_volume(VolumeId=1)"),
    ("NB501", "mod_alias", "import holdfast as hf\nif not hf.confirm('delete?'):\n    ec2.delete_volume(VolumeId=1)"),
    ("NB501", "notok", "ok = confirm('delete?', on_no='return') if False else confirm('delete?')\nif not ok:\n    ec2.delete_volume(VolumeId=1)"),
    ("NB501", "eqno", "answer = ask('delete?', ['yes','no'])\nif answer == \"no\":\n    subprocess.run(['aws','ec2','delete-volume','--volume-id','v'], check=True)"),
    ("NB501", "noin", "answer = ask('delete?', ['yes','no'])\nif answer in ('no', 'n'):\n    ec2.delete_volume(VolumeId=1)"),
    ("NB501", "noteqyes", "answer = ask('go?', ['yes','no'])\nif 'yes' != answer:\n    !kubectl -n a delete pod x"),
    ("NB501", "is_false", "ok = confirm('go?')\nif ok is False:\n    ec2.delete_volume(VolumeId=1)"),
    ("NB501", "eq_false", "ok = confirm('go?')\nif ok == False:\n    ec2.delete_volume(VolumeId=1)"),
    ("NB501", "walrus", "if not (ok := confirm('go?')):\n    ec2.delete_volume(VolumeId=1)"),
    ("NB501", "input_no", "answer = input('delete? [y/N]')\nif answer.lower().startswith('n'):\n    ec2.delete_volume(VolumeId=1)"),
    ("NB501", "input_ne", "answer = input('delete? [y/N]')\nif answer != 'y':\n    ec2.delete_volume(VolumeId=1)"),
    ("NB501", "while_not", "while not confirm('go?'):\n    ec2.delete_volume(VolumeId=1)"),
    ("NB501", "ternary", "ec2.delete_volume(VolumeId=1) if not confirm('go?') else None"),
    ("NB501", "boolop", "confirm('go?') or ec2.delete_volume(VolumeId=1)"),
    ("NB501", "and_not", "ok = confirm('go?')\nif vols and not ok:\n    ec2.delete_volume(VolumeId=1)"),
    ("NB501", "match", "answer = ask('go?', ['yes','no'])\nmatch answer:\n    case 'no':\n        ec2.delete_volume(VolumeId=1)\n    case 'yes':\n        print('ok')"),
    ("NB501", "when", [("step:gate", "ok = ask('go?', ['yes','no'])"), ("step:act", "ec2.delete_volume(VolumeId=1)", {"when": "ok == 'no'"})]),
    ("NB501", "whennot", [("step:gate", "ok = ask('go?', ['yes','no'])"), ("step:act", "ec2.delete_volume(VolumeId=1)", {"when": "not ok == 'yes'"})]),
    ("NB501", "approve_votes", "done = approve('go?')\nif not done.approved_by:\n    ec2.delete_volume(VolumeId=1)"),
    ("NB501", "helperfn", "def purge():\n    for v in vols:\n        ec2.delete_volume(VolumeId=v)\nif not confirm('go?'):\n    purge()"),
    ("NB501", "earlyreturn", "def run():\n    if confirm('go?'):\n        return\n    ec2.delete_volume(VolumeId=1)\nrun()"),
    ("NB503", "filtered2", ["stale = [v for v in vols if v > 3]\nprint(f'{len(stale)} of {len(vols)}')\nconfirm(f'delete {len(stale)} volumes?', count=len(stale))", "for v in vols:\n    ec2.delete_volume(VolumeId=v)"]),
    ("NB503", "enumerate", "stale = [v for v in vols if v > 3]\nconfirm(f'{stale}?')\nfor i, v in enumerate(vols):\n    ec2.delete_volume(VolumeId=v)"),
    ("NB503", "sorted", "stale = [v for v in vols if v > 3]\nconfirm(f'{stale}?')\nfor v in sorted(vols):\n    subprocess.run(['aws','ec2','delete-volume','--volume-id',v], check=True)"),
    ("NB503", "comp", "stale = [v for v in vols if v > 3]\nconfirm(f'{stale}?')\n[ec2.delete_volume(VolumeId=v) for v in vols]"),
    ("NB503", "append", "stale = []\nfor v in vols:\n    if v > 3:\n        stale.append(v)\nconfirm(f'{len(stale)}?')\nfor v in vols:\n    ec2.delete_volume(VolumeId=v)"),
    ("NB503", "lambda", "stale = list(filter(lambda v: v > 3, vols))\nconfirm(f'{len(stale)}?')\nfor v in vols:\n    !aws ec2 delete-volume --volume-id {v}"),
    ("NB503", "dictcomp", "stale = {v: 1 for v in vols if v > 3}\nconfirm(f'{len(stale)}?')\nfor v in vols:\n    ec2.delete_volume(VolumeId=v)"),
    ("NB503", "foreach_lambda", "stale = [v for v in vols if v > 3]\nconfirm(f'{len(stale)}?')\nfor_each(vols, lambda v: ec2.delete_volume(VolumeId=v))"),
    ("NB503", "targets", "stale = targets(lambda: vols, where=lambda v: v > 3)\nconfirm(f'{len(stale)}?')\nfor v in vols:\n    ec2.delete_volume(VolumeId=v)"),
    ("NB503", "genexp", "stale = (v for v in vols if v > 3)\nconfirm('stale?')\nfor v in vols:\n    ec2.delete_volume(VolumeId=v)"),
    ("NB302", "tuple", "def stop(v):\n    try:\n        ec2.stop_instances(InstanceIds=[v])\n        return True, ''\n    except Exception as e:\n        return False, str(e)"),
    ("NB302", "fstring", "def stop(v):\n    try:\n        return ec2.stop_instances(InstanceIds=[v])\n    except Exception as error:\n        return f'failed: {error}'"),
    ("NB302", "bare", "def stop(v):\n    try:\n        return ec2.stop_instances(InstanceIds=[v])\n    except:\n        return 'error'"),
    ("NB302", "false", "def stop(v):\n    try:\n        ec2.stop_instances(InstanceIds=[v])\n    except Exception:\n        return False\n    return True"),
    ("NB302", "clienterror", "from botocore.exceptions import ClientError\ndef stop(v):\n    try:\n        return ec2.stop_instances(InstanceIds=[v])\n    except ClientError as e:\n        return {'ok': False, 'error': str(e)}"),
    ("NB302", "assign", "def stop(v):\n    result = {}\n    try:\n        result = ec2.stop_instances(InstanceIds=[v])\n    except Exception as e:\n        result = {'error': e}\n    return result"),
    ("NB302", "excaslist", "errors = []\ndef stop(v):\n    try:\n        return ec2.stop_instances(InstanceIds=[v])\n    except (ValueError, Exception) as e:\n        return [e]"),
    ("NB504", "fstr_sys", "os.system(f'kubectl -n shop delete pod {vols[0]}')"),
    ("NB504", "sub_list_var", "cmd = ['kubectl', '-n', 'shop', 'delete', 'pod', 'x']\nsubprocess.run(cmd, check=True)"),
    ("NB504", "sub_shell", "subprocess.check_call(f'terraform destroy -auto-approve', shell=True)"),
    ("NB504", "sub_call", "subprocess.check_output(['helm', 'uninstall', 'web', '-n', 'shop'])"),
    ("NB504", "shcell", "%%sh\nset -e\nkubectl -n shop delete deployment web"),
    ("NB504", "bashpipe", "%%bash\nset -euo pipefail\nkubectl -n shop get pods -o name | xargs kubectl -n shop delete"),
    ("NB504", "findDelete", "!find /data -name '*.log' -mtime +7 -delete"),
    ("NB504", "xargsrm", "!find /data -name '*.log' -print0 | xargs -0 rm -f"),
    ("NB504", "sudo", "!sudo rm -rf /data/x"),
    ("NB504", "ssh", "!ssh db-1 'sudo rm -rf /var/lib/x'"),
    ("NB504", "bashc", "!bash -c 'kubectl -n a delete pod x'"),
    ("NB504", "rmtree", "shutil.rmtree('/data/x')"),
    ("NB504", "psql", "!psql -c 'DROP TABLE orders'"),
    ("NB504", "sql", "import psycopg\ncon = psycopg.connect('')\ncon.execute('TRUNCATE orders')"),
    ("NB504", "sqlf", "import psycopg\ncon = psycopg.connect('')\ncon.execute(f'DELETE FROM orders WHERE id = {1}')"),
    ("NB504", "k8sclient", "from kubernetes import client\nv1 = client.CoreV1Api()\nv1.delete_namespaced_pod('x', 'shop')"),
    ("NB504", "httpdelete", "s = requests.Session()\ns.delete('http://x/1')"),
    ("NB504", "httpxreq", "import httpx\nhttpx.request('DELETE', 'http://x/1')"),
    ("NB504", "getattr", "ec2.terminate_instances(InstanceIds=vols)"),
    ("NB504", "integration", "from holdfast.integrations import aws\naws.delete_volume('v')"),
    ("NB504", "integration_k", "from holdfast.integrations import kubernetes as k8s\nk8s.delete_pod('shop', 'x')"),
    ("NB504", "docker", "!docker rm -f web"),
    ("NB504", "redis", "!redis-cli FLUSHALL"),
    ("NB504", "gcloud", "!gcloud compute instances delete web --quiet"),
    ("NB504", "az", "!az vm delete -n web -g rg --yes"),
    ("NB504", "s3rm", "!aws s3 rm s3://bucket --recursive"),
    ("NB504", "reboot", "!ssh web-1 sudo reboot"),
    ("NB504", "kill", "!kill -9 4711"),
    ("NB504", "ctxalias", "d = ec2.delete_volume\nd(VolumeId=1)"),
    ("NB504", "partial", "from functools import partial\nd = partial(ec2.delete_volume, DryRun=False)\nd(VolumeId=1)"),
    ("NB504", "resource", "r = boto3.resource('ec2')\nr.Volume('v').delete()"),
    ("NB601", "fstr", "os.system(f'kubectl delete pod {vols[0]}')"),
    ("NB601", "listv", "cmd = ['kubectl', 'rollout', 'restart', 'deploy/web']\nsubprocess.run(cmd, check=True)"),
    ("NB601", "sh", "%%sh\nset -e\nkubectl scale deploy/web --replicas=0"),
    ("NB601", "assign", "out = !kubectl get pods"),
    ("NB601", "aliask", "!k delete pod x"),
    ("NB601", "shellvar", "%%bash\nset -e\nK=kubectl\n$K delete pod x"),
    ("NB601", "pipe", "!cat x.yaml | kubectl apply -f -"),
    ("NB601", "time", "!time kubectl delete pod x"),
    ("NB601", "run_split", "import shlex\nsubprocess.run(shlex.split('kubectl delete pod x'), check=True)"),
    ("NB601", "run_strsplit", "subprocess.run('kubectl delete pod x'.split(), check=True)"),
]

#: (code, name, cells) of what must be left alone.
SOUND: list[tuple[str, str, Any]] = [
    ("NB601", "fn", "ns = 'shop'\n!kubectl -n {ns} delete pod x  # holdfast: ignore[NB504, NB303] x"),
    ("NB601", "fvar", "ns='shop'\nsubprocess.run(['kubectl','-n',ns,'get','pods'], check=True)"),
    ("NB601", "fvar2", "ns='shop'\nsubprocess.run(f'kubectl --namespace={ns} get pods', shell=True, check=True)"),
    ("NB601", "shvar", '%%bash\nset -e\nNS=shop\nkubectl -n "$NS" get pods'),
    ("NB601", "base", "base = ['kubectl', '-n', 'shop']\nsubprocess.run([*base, 'get', 'pods'], check=True)"),
    ("NB601", "base2", "base = ['kubectl', '-n', 'shop']\nsubprocess.run(base + ['get', 'pods'], check=True)"),
    ("NB601", "nsdel", "confirm('x?')\n!kubectl delete namespace x"),
    ("NB601", "cfg", "!kubectl config use-context prod"),
    ("NB601", "nsctx", "%%bash\nset -e\nkubectl config set-context --current --namespace=shop\nkubectl get pods"),
    ("NB501", "notokraise", "ok = confirm('go?')\nif not ok:\n    print('no')\nelse:\n    ec2.delete_volume(VolumeId=1)"),
    ("NB501", "leave", "choice = ask('what?', ['delete', 'leave it'])\nif choice != 'leave it':\n    ec2.delete_volume(VolumeId=1)"),
    ("NB501", "ternok", "ec2.delete_volume(VolumeId=1) if confirm('go?') else None"),
    ("NB501", "andok", "confirm('go?') and ec2.delete_volume(VolumeId=1)"),
    ("NB501", "keepno", "keep = ask('keep it?', ['yes','no'])\nif keep == 'no':\n    ec2.delete_volume(VolumeId=1)"),
    ("NB501", "matchok", "answer = ask('go?', ['yes','no'])\nmatch answer:\n    case 'yes':\n        ec2.delete_volume(VolumeId=1)\n    case _:\n        print('left')"),
    ("NB503", "iter", "stale = [v for v in vols if v > 3]\nconfirm(f'{len(stale)}?')\nfor v in stale:\n    ec2.delete_volume(VolumeId=v)"),
    ("NB503", "untagonly", "stale = [v for v in vols if v > 3]\nconfirm(f'{len(stale)}?')\nfor v in vols:\n    if v in stale:\n        ec2.delete_volume(VolumeId=v)"),
    ("NB503", "other", "names = [v for v in vols if v]\nconfirm('all?')\nfor n in names:\n    ec2.delete_volume(VolumeId=n)"),
    ("NB302", "lookup", "def find(k):\n    try:\n        return {}[k]\n    except KeyError:\n        return None"),
    ("NB302", "probe", "from botocore.exceptions import ClientError\ndef gone(v):\n    try:\n        ec2.describe_volumes(VolumeIds=[v])\n    except ClientError as error:\n        if error.response['Error']['Code'] == 'InvalidVolume.NotFound':\n            return True\n        raise\n    return False"),
    ("NB504", "gated", "confirm('x')\nos.system('kubectl -n a delete pod x')"),
    ("NB504", "listdel", "x=[1]\nx.remove(1)\nd={}\nd.pop(1,None)"),
    ("NB504", "pathunlinktmp", "import tempfile\nwith tempfile.TemporaryDirectory() as t:\n    pass"),
    ("NB504", "select", "!psql -c 'select * from deleted_orders'"),
    ("NB504", "gitrm", "!git log --diff-filter=D"),
    ("NB504", "dfdrop", "import pandas as pd\ndf = pd.DataFrame({'a':[1]})\ndf = df.drop(columns=['a'])"),
    ("NB504", "setdiscard", "s=set()\ns.discard(1)\ns.clear()"),
]
# fmt: on


def codes(notebook: Any, cells: Any) -> list[str]:
    return [f.code for f in check(notebook(SETUP, *(cells if isinstance(cells, list) else [cells])))]


@pytest.mark.parametrize(("code", "cells"), [pytest.param(c, cells, id=f"{c}-{n}") for c, n, cells in DEFECTS])
def test_a_defect_is_found_however_it_is_written(notebook: Any, code: str, cells: Any) -> None:
    assert code in codes(notebook, cells)


@pytest.mark.parametrize(("code", "cells"), [pytest.param(c, cells, id=f"{c}-{n}") for c, n, cells in SOUND])
def test_what_only_looks_like_a_defect_is_left_alone(notebook: Any, code: str, cells: Any) -> None:
    assert code not in codes(notebook, cells)


def test_a_name_that_is_bound_twice_stands_for_nothing(notebook: Any) -> None:
    cells = ["cmd = ['ls']\nif vols:\n    cmd = ['kubectl', 'delete', 'pod', 'x']\nsubprocess.run(cmd, check=True)"]
    assert codes(notebook, cells) == []
