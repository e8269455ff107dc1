#!/bin/sh
# Installs acme-oss on this machine; --demo shows it at work and --test proves it, both without installing it.
set -eu

usage() {
  cat <<'TEXT'
./install.sh              installs the command acme-oss for use (as root, or with sudo)
./install.sh --demo       issues and deploys a certificate on this machine alone, and shows what became of it
./install.sh --test       installs what the tests need, and runs them
./install.sh --uninstall  takes the command away again; leaves /etc/acme-oss and what was issued and recorded

  --prefix DIR            where to install, instead of /usr/local
TEXT
}

say() { printf '%s\n' "$*"; }
stop() {
  printf 'install.sh: %s\n' "$1" >&2
  shift
  for line in "$@"; do printf '  what to do: %s\n' "$line" >&2; done
  exit 1
}

here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
mode=install
prefix=/usr/local
while [ $# -gt 0 ]; do
  case $1 in
    --demo | --test | --uninstall) mode=${1#--} ;;
    --prefix)
      [ $# -ge 2 ] || { usage >&2; exit 2; }
      prefix=$2
      shift
      ;;
    --prefix=*) prefix=${1#--prefix=} ;;
    -h | --help)
      usage
      exit 0
      ;;
    *)
      printf 'install.sh does not know %s\n\n' "$1" >&2
      usage >&2
      exit 2
      ;;
  esac
  shift
done
case $prefix in
  /*) ;;
  *) stop "--prefix takes an absolute path, not $prefix" ;;
esac

library=$prefix/lib/acme-oss
command=$prefix/bin/acme-oss

# Runs a command as root, whoever we are.
as_root() {
  if [ "$(id -u)" -eq 0 ]; then
    "$@"
  elif command -v sudo >/dev/null 2>&1; then
    sudo "$@"
  else
    stop "this needs root: $*" 'run it as root, or install sudo'
  fi
}

need_node() {
  command -v node >/dev/null 2>&1 || stop 'Node.js is missing' \
    'install Node.js 20.19 or later (https://nodejs.org/en/download), then run this again'
  node -e 'const [a, b] = process.versions.node.split(".").map(Number); process.exit(a > 20 || (a === 20 && b >= 19) ? 0 : 1)' ||
    stop "Node.js 20.19 or later is needed, and $(command -v node) is $(node --version)" \
      'install a newer Node.js (https://nodejs.org/en/download), then run this again'
  command -v npm >/dev/null 2>&1 || stop 'npm is missing' 'install it: it comes with Node.js, or as the package npm'
}

# Debian packages, by a command that each brings: need_packages pebble:pebble openssl:openssl
need_packages() {
  missing=
  for pair in "$@"; do
    command -v "${pair%%:*}" >/dev/null 2>&1 || missing="$missing ${pair#*:}"
  done
  [ -n "$missing" ] || return 0
  command -v apt-get >/dev/null 2>&1 ||
    stop "these are missing:$missing" 'install them with the package manager of this system, then run this again'
  say "Installing Debian packages:$missing"
  # shellcheck disable=SC2086  # a list of words
  as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends $missing >"$log" 2>&1 || {
    as_root apt-get update -q >"$log" 2>&1 || { cat "$log" >&2; stop 'apt-get update failed'; }
    # shellcheck disable=SC2086
    as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends $missing >"$log" 2>&1 || {
      cat "$log" >&2
      stop "these Debian packages cannot be installed:$missing"
    }
  }
}

# macOS has no timeout(1).
limited() { if command -v timeout >/dev/null 2>&1; then timeout 300 "$@"; else "$@"; fi; }

# npm now and then waits for ever on a stalled transfer, and works at once when it is asked again.
npm_ci() {
  for try in 1 2 3; do
    if limited npm ci --no-audit --no-fund --loglevel=error "$@" >"$log" 2>&1; then return 0; fi
    [ "$try" -eq 3 ] || say 'npm did not get through; once more'
  done
  cat "$log" >&2
  stop 'npm ci failed' 'check that this machine reaches the npm registry: npm ping'
}

# The packages of package-lock.json, unless they are there already.
need_modules() {
  stamp=node_modules/.acme-oss-lock
  if [ -f "$stamp" ] && cmp -s package-lock.json "$stamp"; then return 0; fi
  say 'Installing npm packages'
  npm_ci
  cp package-lock.json "$stamp"
}

install_command() {
  # Whoever installs it, everybody is to be able to call it.
  umask 022
  need_node
  cd "$here"
  if [ -f tsconfig.build.json ]; then
    need_modules
    say 'Building'
    npm run -s build
  fi
  [ -f dist/cli/main.js ] || stop 'there is nothing to install here' 'run install.sh from a clone of acme-oss'
  new=$library.new
  say "Installing into $library"
  put rm -rf "$new"
  put mkdir -p "$new" "$prefix/bin"
  put cp -R dist package.json package-lock.json LICENSE README.md "$new/"
  (cd "$new" && put_npm)
  put rm -rf "$library.old"
  if [ -d "$library" ]; then put mv "$library" "$library.old"; fi
  put mv "$new" "$library"
  put rm -rf "$library.old"
  write_wrapper
  make_environment_file
  say "Installed: $("$command" --version) as $command"
  case :$PATH: in
    *:"$prefix/bin":*) ;;
    *) say "$prefix/bin is not in your PATH: call it as $command" ;;
  esac
  say 'Next: acme-oss issue-and-deploy --help'
}

# As root only where the prefix asks for it.
put() { if can_write; then "$@"; else as_root "$@"; fi; }
can_write() {
  folder=$prefix
  while [ ! -e "$folder" ]; do folder=$(dirname -- "$folder"); done
  [ -w "$folder" ]
}
put_npm() {
  if can_write; then
    npm_ci --omit=dev --ignore-scripts
  else
    # npm as root would look for its settings elsewhere: it works in a folder of ours, and the result is copied.
    work=$(mktemp -d)
    cp package.json package-lock.json "$work/"
    (cd "$work" && npm_ci --omit=dev --ignore-scripts)
    as_root cp -R "$work/node_modules" .
    rm -rf "$work"
  fi
}

# Absolute paths: hooks and timers run with hardly any PATH.
write_wrapper() {
  wrapper=$(mktemp)
  printf '#!/bin/sh\nexec %s %s "$@"\n' "$(quoted "$(command -v node)")" "$(quoted "$library/dist/cli/main.js")" >"$wrapper"
  chmod 755 "$wrapper"
  put cp "$wrapper" "$command.new"
  put chmod 755 "$command.new"
  put mv "$command.new" "$command"
  rm -f "$wrapper"
}
quoted() { printf "'%s'" "$(printf '%s' "$1" | sed "s/'/'\\\\''/g")"; }

make_environment_file() {
  [ "$prefix" = /usr/local ] || return 0
  if [ -e /etc/acme-oss/env ]; then return 0; fi
  as_root mkdir -p -m 700 /etc/acme-oss
  file=$(mktemp)
  cat >"$file" <<'TEXT'
# Read by hooks and timers, which do not see the variables of your shell.
#ALIBABA_CLOUD_ACCESS_KEY_ID=
#ALIBABA_CLOUD_ACCESS_KEY_SECRET=
TEXT
  chmod 600 "$file"
  as_root cp "$file" /etc/acme-oss/env
  as_root chmod 600 /etc/acme-oss/env
  rm -f "$file"
}

uninstall_command() {
  put rm -f "$command"
  put rm -rf "$library" "$library.new" "$library.old"
  say "Taken away: $command and $library"
  say 'Left as they are: /etc/acme-oss, and what was issued and recorded in /var/lib/acme-oss or ~/.local/state/acme-oss'
}

log=$(mktemp)
trap 'rm -f "$log"' EXIT
trap 'exit 130' INT TERM

case $mode in
  install) install_command ;;
  uninstall) uninstall_command ;;
  demo)
    need_node
    need_packages pebble:pebble openssl:openssl
    cd "$here"
    need_modules
    say 'Building'
    npm run -s build
    npm run -s build:test >"$log" 2>&1 || { cat "$log" >&2; stop 'the build failed'; }
    node build-test/test/demo.js
    ;;
  test)
    need_node
    need_packages pebble:pebble openssl:openssl
    cd "$here"
    need_modules
    npm test
    ;;
esac
