"""Which command lines only read. A line wrongly taken for a reading could be repeated unasked: the second list is the one that matters."""

from pathlib import Path

import pytest

from holdfast.errors import AuthorError
from holdfast.model.call import Effect
from holdfast.notebook.commands import classify, classify_argv, load, tables_of

READS = [
    "while IFS= read -r line; do echo $line; done < names.txt",
    "terraform -chdir=x plan",
    "helm template web ./chart",
    "timeout 5 watch -n1 kubectl get pods",
    "kubectl get pods",
    "kubectl -n prod get pods -o wide | grep Crash | wc -l",
    "sudo kubectl --context x describe pod/y",
    "aws --region eu-west-1 ec2 describe-volumes --filters Name=status,Values=available --query 'Volumes[].VolumeId'",
    "gcloud compute instances list --format=json",
    "git log --oneline -5 && git status",
    "docker ps -a; docker logs web 2>&1 | tail -n 20",
    "helm -n x list",
    "terraform plan",
    "curl -s https://x/y",
    "curl -sSf -o /dev/null -w '%{http_code}' http://h/health",
    "curl -G -d q=1 http://h",
    "psql -h db -Atc \"select count(*) from t where a = 'drop table x'\"",
    "systemctl status nginx",
    "journalctl -u nginx --since '1 hour ago'",
    "cat f | awk '$3 > 5 {print $1}' | sort | uniq -c",
    "sed -n '1,5p' f",
    "sed 's/a/b/g;s|x|y|' f",
    "find . -name '*.py' -mtime +3",
    "dig +short x; ping -c 3 h; nslookup q",
    "A=1 B=2 ls",
    "time ls",
    "watch -n 1 'kubectl get po'",
    "timeout 5 cat x",
    "ls | xargs cat",
    "ls | xargs -n 1 -I {} stat {}",
    "bash -c 'ls | wc -l'",
    "kubectl exec -it p -n q -- cat /x",
    "if kubectl get x; then echo yes; else echo no; fi",
    "for p in $(kubectl get po -o name); do kubectl logs $p; done",
    "ls > /dev/null",
    "ssh host 'df -h | grep sda'",
    "ssh -o ConnectTimeout=5 h uptime",
    "/usr/bin/cat x",
    "env",
    "date +%s",
    "ip addr show",
    "redis-cli -h x INFO",
    "command -v kubectl",
    "[ -f x ] && cat x",
    "docker exec web cat /etc/hosts",
    "kubectl apply -f x --dry-run=server",
    'curl -sSL --max-time 5 "https://x" | jq .',
    "tar -tzf a.tgz",
    "cat x 2>&1",
    "uniq",
    "echo 'a > b'",
    "# only a comment",
    "",
    "kubectl get pods \\\n  -n prod",
    "ls\ndf -h",
    "aws sts get-caller-identity",
    "aws s3 ls s3://b",
    "curl -X GET http://x",
    "curl -I http://x",
    "AWS_PROFILE=x aws ec2 describe-instances",
]

WRITES = [
    "ls | xargs -I{} sh -c 'cat {}'",
    "mysql -e 'select 1--1; delete from t'",
    "mysql -e 'select 1 /*! into outfile \"x\" */'",
    "gcloud run deploy list",
    "gcloud compute ssh list",
    "kubectl delete pod x --dry-run",
    "kubectl exec -it web -- bash",
    "ls 2>&1 rm; rm x",
    "trap 'rm x' EXIT",
    "alias ls='rm x'",
    "uniq - out",
    "date -us 10:00",
    "git log --output=x",
    "curl -sX POST http://x",
    "docker compose down",
    "cat x > /dev/tcp/h/1",
    "cat < /dev/tcp/h/1",
    "rm -rf /",
    "kubectl delete pod x",
    "kubectl get pods && kubectl delete pod x",
    "kubectl get pods > out",
    "echo x | tee f",
    "find . -delete",
    "find . $opts",
    "find . {-name,-delete}",
    "sed -i s/a/b/ f",
    "sed 's/a/b/w out' f",
    "sed -n '1e rm' f",
    "awk '{system(\"rm\")}' f",
    "awk '{print > \"f\"}' f",
    "awk '{print | \"sh\"}' f",
    "curl -X POST http://x",
    "curl -d a=1 http://x",
    "curl -T f http://x",
    "curl -o f http://x",
    "curl -O http://x",
    "curl -sO http://x",
    'psql -c "select pg_terminate_backend(1)"',
    'psql -c "with x as (delete from t returning *) select * from x"',
    "psql -f x.sql",
    'psql -c "select 1; drop table x"',
    "sort -o f f",
    "sort --outp=f f",
    "./cat x",
    "foo",
    "$cmd get",
    "kubectl $verb pods",
    "bash x.sh",
    "python x.py",
    "ls | xargs rm",
    "ls `rm x`",
    'ls "$(rm x)"',
    "cat <<EOF",
    "PATH=/x ls",
    "LD_PRELOAD=x ls",
    "kubectl exec p -- rm x",
    "ssh host",
    "ssh host rm x",
    "eval ls",
    "source x",
    ". x",
    "git -c core.pager=x log",
    "git branch -D x",
    "git branch foo",
    "git push",
    "f() { ls; }; f",
    "date -s tomorrow",
    "date 11211200",
    "sysctl -w a=1",
    "sysctl a=1",
    "hostname foo",
    "ip addr add 1.2.3.4 dev x",
    "gcloud compute instances delete list",
    "aws ec2 terminate-instances --instance-ids i",
    "aws s3api get-object --bucket b --key k out",
    "crontab -r",
    "crontab f",
    "tar xzf f",
    "tar -xzf f",
    "ls; }; rm x",
    "cat x |& sh",
    "ls & rm x",
    "if ls; then rm x; fi",
    "while true; do rm x; done",
    "[[ $(rm x) ]]",
    "docker exec web rm x",
    "xargs rm",
    "watch rm x",
    "sudo -s",
    "curl $opts http://x",
    "dmesg -c",
    "kubectl get pods; kubectl",
    "python3 -c 'x'",
    "terraform apply",
    "terraform plan -out=x",
    "openssl req -new -key k -out o",
    "uniq a b",
    "xxd a b",
    "yes > f",
    "redis-cli FLUSHALL",
    'psql -c "select 1 \\\\! rm x"',
    "mount /dev/x /y",
    "timeout 5 rm x",
    "nice rm x",
    "env A=1 rm x",
    "env -S 'rm x'",
    "time rm x",
    "! rm x",
    "{ rm x; }",
    "(rm x)",
    "cat <(rm x)",
    "cat >(rm x)",
    "ls 2>err",
    "ls &> f",
    "ls >| f",
    "a=$(rm x)",
    "kubectl patch x --dry-run=none",
    "curl -K cfg",
    "curl file:///etc/passwd -o x",
    "curl -w '%output{f}' http://x",
    "tar tzf",
    "uniq -c a b",
    "kubectl -n x delete pod get",
    "aws ec2 delete-volume --volume-id v-1",
    "nohup ./get",
    "curl -sX DELETE http://x",
    "curl -XDELETE http://x",
    "curl --data-binary @f http://x",
    "curl -F a=@b http://x",
    "curl http://x -H 'X-HTTP-Method-Override: DELETE'",
    "kubectl run x --image y",
    "systemctl restart nginx",
    "helm upgrade a b",
    "mysql -e 'delete from t'",
    'psql -c "select lo_unlink(1)"',
    "psql -c 'explain analyze select 1'",
    "cat 'open",
    "ls &&& x",
    "kubectl rollout restart deploy/x",
    "kubectl cp a b:/c",
    "docker rm -f x",
    "docker run x ls",
    "git stash",
    "git fetch",
    "apt install x",
    "ip link set eth0 down",
    "rpm -e x",
    "rpm -qe x",
    "iptables -F",
    "iptables -L -Z",
    "ssh -o ProxyCommand='rm x' h ls",
    'bash -c "$x"',
    "$(kubectl get x)",
    "vault read aws/creds/x",
    "redis-cli get x --eval f",
    "\xa0ls",
    "ls\x1f-l",
    "\x0bls",
]


@pytest.mark.parametrize("command", READS)
def test_a_command_that_only_reads_is_known_as_such(command: str) -> None:
    assert classify(command) is Effect.READ


@pytest.mark.parametrize("command", WRITES)
def test_whatever_is_not_surely_a_reading_is_a_write(command: str) -> None:
    assert classify(command) is Effect.WRITE


def test_an_argument_list_is_taken_literally() -> None:
    assert classify_argv(["kubectl", "get", "pods", "; rm -rf /"]) is Effect.READ
    assert classify_argv(["echo", "$(rm x)", ">", "f"]) is Effect.READ
    assert classify_argv(["kubectl", "delete", "pod", "x"]) is Effect.WRITE
    assert classify_argv([]) is Effect.WRITE


def test_a_pack_adds_commands_and_forms(tmp_path: Path) -> None:
    table = tmp_path / "commands.toml"
    table.write_text(
        '[commands.bgpctl]\nreads = ["show"]\nidempotent = ["reload"]\n[commands.kubectl]\nreads = ["neat"]\nunless = ["--fix"]\n'
    )
    assert classify("bgpctl show neighbor", [table]) is Effect.READ
    assert classify("bgpctl reload && bgpctl show x", [table]) is Effect.IDEMPOTENT
    assert classify("bgpctl reload; bgpctl clear", [table]) is Effect.WRITE
    assert classify("kubectl neat x", [table]) is Effect.READ
    assert classify("kubectl neat --fix x", [table]) is Effect.WRITE
    assert classify("kubectl get pods", [table]) is Effect.READ
    assert classify("bgpctl show neighbor") is Effect.WRITE


def test_a_table_that_is_edited_is_read_again(tmp_path: Path) -> None:
    import os

    table = tmp_path / "commands.toml"
    table.write_text("[commands.one]\nreads = true\n")
    assert classify("one", [table]) is Effect.READ
    table.write_text("[commands.two]\nreads = true\n")
    os.utime(table, ns=(1, 1))
    assert classify("one", [table]) is Effect.WRITE


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("[commands.x]\nraeds = true\n", "did you mean 'reads'?"),
        ("[comands.x]\nreads = true\n", "unknown key 'comands'"),
        ("[commands.x\n", "no valid TOML"),
        ('[commands.x]\nreads = "get"\n', "reads"),
        ('[commands.x]\nreads = [{word = "get"}]\n', "word"),
        ('[commands.x]\nspecial = "crul"\n', "did you mean 'curl'?"),
        ('[commands.x]\nreads = true\narguments = "["\n', "commands.x"),
    ],
)
def test_a_bad_table_is_refused_with_its_place(tmp_path: Path, text: str, told: str) -> None:
    table = tmp_path / "commands.toml"
    table.write_text(text)
    with pytest.raises(AuthorError, match="HF104") as caught:
        classify("x", [table])
    assert told in str(caught.value)
    assert str(table) in str(caught.value)


def test_a_notebook_names_its_tables_relative_to_itself() -> None:
    assert tables_of({"commands": "commands.toml"}, "/packs/bgp/flap.ipynb") == (Path("/packs/bgp/commands.toml"),)
    assert tables_of({"commands": ["a.toml", "/b.toml"]}, "/packs/flap.ipynb") == (Path("/packs/a.toml"), Path("/b.toml"))
    assert tables_of({}, None) == ()


def test_a_missing_table_is_refused(tmp_path: Path) -> None:
    with pytest.raises(AuthorError, match="HF104"):
        load(tmp_path / "none.toml")
