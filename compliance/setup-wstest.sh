#!/usr/bin/env bash
# setup-wstest.sh FOLDER: installs wstest, the Autobahn test suite's own runner, into FOLDER, from PyPI.
#
# It exists for Python 2.7 alone. Needed: a python2.7 (PYTHON2 says where it is, if it is not on PATH),
# python3, and a C compiler. The versions are the last ones that work together on 2.7.
set -euo pipefail

folder=${1:?usage: setup-wstest.sh FOLDER}
python2=${PYTHON2:-$(command -v python2.7 || true)}
[[ -n $python2 ]] && "$python2" -c 'import sys; sys.exit(sys.version_info[:2] != (2, 7))' || {
    echo "setup-wstest.sh: python2.7 is needed; PYTHON2 says where it is" >&2
    exit 1
}
export PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_INPUT=1 PYTHONWARNINGS=ignore

mkdir -p "$folder"
python3 -m venv "$folder/maker"
# Later versions of virtualenv make no environments for 2.7.
"$folder/maker/bin/pip" install -q 'virtualenv<20.22'
"$folder/maker/bin/virtualenv" -q --python "$python2" "$folder/wstest"

install() {
    "$folder/wstest/bin/pip" --no-python-version-warning install -q "$@"
}
install 'setuptools==44.0.0' 'wheel==0.36.2'
# Twisted's own set-up needs it, and the version that pip would build it with is not for 2.7.
install 'incremental==16.10.1'
install --no-build-isolation 'Twisted==19.10.0'
install 'cryptography==3.3.2' 'pyOpenSSL==19.1.0' 'service_identity==18.1.0' 'txaio==2.1.0' 'zope.interface==4.6.0'
install 'klein==17.10.0' 'Werkzeug==1.0.1' 'jinja2==2.11.3' 'markupsafe==1.1.1' 'six==1.16.0' 'unittest2==1.1.0'
install 'autobahn[accelerate,twisted]==0.10.9'
# What it asks for are versions that do not work together.
install --no-deps --no-build-isolation 'autobahntestsuite==25.10.1'

"$folder/wstest/bin/wstest" --autobahnversion 2>/dev/null
echo "python compliance/run.py server --program $folder/wstest/bin/wstest"
