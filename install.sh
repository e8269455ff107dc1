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
  --with-certbot[=DIR]    lets certbot call acme-oss; DIR is its configuration folder, if that is not the usual one
  --with-acme.sh[=DIR]    gives acme.sh the deploy hook acme_oss; DIR is its home
  --with-dehydrated[=FILE] lets dehydrated call acme-oss; FILE is its configuration
  --timer KIND            systemd, cron or none, instead of what this machine has
  --yes                   with the hooks: deploys the certificates that are there already, without asking

DESTDIR in the environment is put before every path that is written (for packages); nothing is started then.
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
destdir=${DESTDIR:-}
# Unset where a machine is set up by itself.
HOME=${HOME:-/root}
timer=
yes=
with_certbot='' with_acme_sh='' with_dehydrated=''
certbot_folder='' acme_sh_home='' dehydrated_config=''
while [ $# -gt 0 ]; do
  case $1 in
    --demo | --test | --uninstall) mode=${1#--} ;;
    --prefix)
      [ $# -ge 2 ] || { usage >&2; exit 2; }
      prefix=$2
      shift
      ;;
    --prefix=*) prefix=${1#--prefix=} ;;
    --timer)
      [ $# -ge 2 ] || { usage >&2; exit 2; }
      timer=$2
      shift
      ;;
    --timer=*) timer=${1#--timer=} ;;
    --with-certbot) with_certbot=yes ;;
    --with-certbot=*) with_certbot=yes certbot_folder=${1#*=} ;;
    --with-acme.sh) with_acme_sh=yes ;;
    --with-acme.sh=*) with_acme_sh=yes acme_sh_home=${1#*=} ;;
    --with-dehydrated) with_dehydrated=yes ;;
    --with-dehydrated=*) with_dehydrated=yes dehydrated_config=${1#*=} ;;
    --yes | -y) yes=yes ;;
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
for folder in "$certbot_folder" "$acme_sh_home" "$dehydrated_config"; do
  case $folder in
    '' | /*) ;;
    *) stop "where a client is has to be an absolute path, not $folder" ;;
  esac
done
case $timer in
  '' | systemd | cron | none) ;;
  *) stop "--timer takes systemd, cron or none, not $timer" ;;
esac

# As they will be called on the machine; what is written has $destdir before it.
library=$prefix/lib/acme-oss
command=$prefix/bin/acme-oss
# What lies outside of the library, for --uninstall: a kind and a path on each line.
manifest=$destdir$library/installed
units=/etc/systemd/system
cron=/etc/cron.d/acme-oss

# An installation into some other folder touches nothing of the system unless it is asked to.
for_system=
if [ "$prefix" = /usr/local ] || [ -s "$manifest" ] ||
  [ -n "$destdir$timer$with_certbot$with_acme_sh$with_dehydrated" ]; then
  for_system=yes
fi

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
  # Before anything is changed.
  [ -z "$with_certbot" ] || find_certbot
  [ -z "$with_acme_sh" ] || find_acme_sh
  [ -z "$with_dehydrated" ] || find_dehydrated
  cd "$here"
  if [ -f tsconfig.build.json ]; then
    need_modules
    say 'Building'
    npm run -s build
  fi
  [ -f dist/cli/main.js ] || stop 'there is nothing to install here' 'run install.sh from a clone of acme-oss'
  staged=$destdir$library
  new=$staged.new
  say "Installing into $staged"
  put rm -rf "$new"
  put mkdir -p "$new" "$destdir$prefix/bin"
  put cp -R dist hooks package.json package-lock.json LICENSE README.md "$new/"
  if [ -f "$manifest" ]; then put cp "$manifest" "$new/installed"; else put touch "$new/installed"; fi
  put chmod 644 "$new/installed"
  for hook in certbot/acme-oss acme.sh/acme_oss.sh dehydrated/acme-oss.sh; do make_absolute "$new/hooks/$hook"; done
  (cd "$new" && put_npm)
  put rm -rf "$staged.old"
  if [ -d "$staged" ]; then put mv "$staged" "$staged.old"; fi
  put mv "$new" "$staged"
  put rm -rf "$staged.old"
  write_wrapper
  if [ -n "$for_system" ]; then
    make_environment_file
    refresh_hooks
    [ -z "$with_certbot" ] || hook_certbot
    [ -z "$with_acme_sh" ] || hook_acme_sh
    [ -z "$with_dehydrated" ] || hook_dehydrated
    set_timer
  fi
  say "Installed: $(node "$staged/dist/cli/main.js" --version) as $command"
  case :$PATH: in
    *:"$prefix/bin":*) ;;
    *) say "$prefix/bin is not in your PATH: call it as $command" ;;
  esac
  offer_lineages
  say 'Next: acme-oss issue-and-deploy --help; acme-oss doctor looks at all that a deployment depends on'
}

# As root only where the prefix asks for it.
put() { if can_write "$destdir$prefix"; then "$@"; else as_root "$@"; fi; }
# The same for a path of the system, as the first word.
put_at() {
  at=$1
  shift
  if can_write "$at"; then "$@"; else as_root "$@"; fi
}
can_write() {
  [ "$(id -u)" -ne 0 ] || return 0
  folder=$1
  while [ ! -e "$folder" ]; do folder=$(dirname -- "$folder"); done
  [ -w "$folder" ]
}
put_npm() {
  if can_write "$destdir$prefix"; then
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
  put cp "$wrapper" "$destdir$command.new"
  put chmod 755 "$destdir$command.new"
  put mv "$destdir$command.new" "$destdir$command"
  rm -f "$wrapper"
}
quoted() { printf "'%s'" "$(printf '%s' "$1" | sed "s/'/'\\\\''/g")"; }
make_absolute() {
  script=$(mktemp)
  word=$(quoted "$command" | sed 's/[\\&|]/\\&/g')
  runner=$(quoted "$library/hooks/with-environment" | sed 's/[\\&|]/\\&/g')
  sed "s|^acme_oss=acme-oss\$|acme_oss=$word|; s|with_environment=/usr/.*|with_environment=$runner|" "$1" >"$script"
  # cp into a file that is there keeps its mode
  put cp "$script" "$1"
  rm -f "$script"
}

make_environment_file() {
  if put_at "$destdir/etc/acme-oss" test -e "$destdir/etc/acme-oss/env"; then return 0; fi
  file=$(mktemp)
  cat >"$file" <<'TEXT'
# Read by hooks and by the timer, which do not see the variables of your shell. Lines NAME=VALUE, as systemd reads them
# (EnvironmentFile=); every option of acme-oss has a variable, such as ACME_OSS_BUCKET for --bucket.
#ALIBABA_CLOUD_ACCESS_KEY_ID=
#ALIBABA_CLOUD_ACCESS_KEY_SECRET=
#ACME_OSS_BUCKET=
#ACME_OSS_REGION=
#ACME_OSS_PREFIX=
TEXT
  [ -d "$destdir/etc/acme-oss" ] || put_at "$destdir/etc" mkdir -p -m 700 "$destdir/etc/acme-oss"
  (umask 077 && put_at "$destdir/etc/acme-oss" cp "$file" "$destdir/etc/acme-oss/env")
  put_at "$destdir/etc/acme-oss" chmod 600 "$destdir/etc/acme-oss/env"
  rm -f "$file"
}

# --- what lies outside of the library, and how --uninstall will know ---

record() {
  line="$1 $2"
  if grep -Fqx -e "$line" "$manifest"; then return 0; fi
  list=$(mktemp)
  cat "$manifest" >"$list"
  printf '%s\n' "$line" >>"$list"
  put cp "$list" "$manifest"
  rm -f "$list"
}

# place KIND MODE PATH: what comes in on standard input, for whoever owns the folder.
place() {
  content=$(mktemp)
  cat >"$content"
  path=$destdir$3
  make_folder "$(dirname -- "$3")"
  record "$1" "$3"
  if put_at "$path" cmp -s "$content" "$path" && [ -n "$(find "$path" -perm "$2")" ]; then
    rm -f "$content"
    return 0
  fi
  put_at "$path" rm -f "$path.new"
  put_at "$path" cp "$content" "$path.new"
  put_at "$path" chmod "$2" "$path.new"
  # shellcheck disable=SC2012  # numbers, and no name that could break the line
  owner=$(ls -nd -- "$(dirname -- "$path")" | awk '{ print $3 ":" $4 }')
  [ "$(id -u)" -ne 0 ] || chown "$owner" "$path.new"
  put_at "$path" mv -f "$path.new" "$path"
  rm -f "$content"
}
make_folder() {
  [ ! -d "$destdir$1" ] || return 0
  (make_folder "$(dirname -- "$1")")
  record folder "$1"
  put_at "$destdir$1" mkdir "$destdir$1"
}

# Those of an earlier run, after an update.
refresh_hooks() {
  while read -r kind path; do
    # A client that is gone by now needs no hook.
    [ -d "$destdir$(dirname -- "$path")" ] || continue
    case $kind in
      certbot) place certbot 755 "$path" <"$staged/hooks/certbot/acme-oss" ;;
      acme.sh) place acme.sh 644 "$path" <"$staged/hooks/acme.sh/acme_oss.sh" ;;
    esac
  done <"$manifest"
}

# --- certbot ---

find_certbot() {
  if [ -z "$certbot_folder" ]; then
    certbot_folder=/etc/letsencrypt
    for ini in "$destdir/etc/letsencrypt/cli.ini" "$HOME/.config/letsencrypt/cli.ini"; do
      [ -r "$ini" ] || continue
      set_there=$(sed -n 's/^[[:space:]]*config-dir[[:space:]]*[=:][[:space:]]*//p' "$ini" | tail -n 1 | sed 's/[[:space:]]*$//')
      [ -z "$set_there" ] || certbot_folder=$set_there
      if grep -Eiq '^[[:space:]]*no-directory-hooks[[:space:]]*([=:][[:space:]]*(true|yes|1|on))?[[:space:]]*$' "$ini"; then
        stop "$ini tells certbot not to run what lies in renewal-hooks/" "take no-directory-hooks out of $ini"
      fi
    done
  fi
  if [ -d "$destdir$certbot_folder" ]; then return 0; fi
  # A certbot that has never run yet makes its usual folder when it does.
  if [ -z "$destdir" ] && [ "$certbot_folder" = /etc/letsencrypt ] && command -v certbot >/dev/null 2>&1; then return 0; fi
  stop "certbot is not here: there is no folder $certbot_folder" \
    'install certbot, or name its configuration folder: --with-certbot=DIR'
}

hook_certbot() {
  hook=$certbot_folder/renewal-hooks/deploy/acme-oss
  is_ours "$hook" certbot
  place certbot 755 "$hook" <"$staged/hooks/certbot/acme-oss"
  say "certbot calls acme-oss after each renewal: $hook"
  for live in "$destdir$certbot_folder"/live/*/; do
    live=${live%/}
    if [ -e "$live/fullchain.pem" ] && [ -e "$live/privkey.pem" ]; then
      offer "RENEWED_LINEAGE=$(quoted "${live#"$destdir"}") $(quoted "$hook")"
    fi
  done
}

# A file of that name that somebody else put there is not overwritten.
is_ours() {
  [ -e "$destdir$1" ] || return 0
  grep -Fqx -e "$2 $1" "$manifest" || grep -q '^acme_oss=' "$destdir$1" ||
    stop "$1 is there already, and is not of acme-oss" 'move it away, then run this again'
}

# --- acme.sh ---

find_acme_sh() {
  if [ -n "$acme_sh_home" ]; then
    homes=$acme_sh_home
  else
    homes=${LE_WORKING_DIR:-}
    for user in "$(id -un)" root "${SUDO_USER:-}"; do
      [ -n "$user" ] || continue
      home=$(awk -F: -v user="$user" '$1 == user { print $6 }' /etc/passwd)
      [ -z "$home" ] || homes="$homes
$home/.acme.sh"
    done
    homes="$homes
$HOME/.acme.sh"
  fi
  acme_sh_homes=$(printf '%s\n' "$homes" | while IFS= read -r home; do
    if [ -n "$home" ] && [ -f "$destdir$home/acme.sh" ]; then printf '%s\n' "$home"; fi
  done | sort -u)
  [ -n "$acme_sh_homes" ] ||
    stop "acme.sh is not here: there is no file acme.sh in $(printf '%s\n' "$homes" | sort -u | tr -s '\n' ' ')" \
      'install acme.sh, or name its home: --with-acme.sh=DIR'
}

hook_acme_sh() {
  # A file, since a loop at the end of a pipe could not stop the script.
  printf '%s\n' "$acme_sh_homes" >"$log"
  while IFS= read -r home <&3; do
    hook=$home/deploy/acme_oss.sh
    is_ours "$hook" acme.sh
    place acme.sh 644 "$hook" <"$staged/hooks/acme.sh/acme_oss.sh"
    say "acme.sh has the deploy hook acme_oss: $hook"
    offer_acme_sh "$home"
  done 3<"$log"
}

offer_acme_sh() {
  owner=$(awk -F: -v uid="$(find "$destdir$1/acme.sh" -prune -exec ls -ln {} + | awk '{ print $3 }')" '$3 == uid { print $1; exit }' /etc/passwd)
  as_owner=
  if [ -n "$owner" ] && [ "$owner" != root ]; then
    as_owner="sudo -u $(quoted "$owner") "
    say "  It runs as $owner, whose failed deployments the timer of root does not see. Let $owner call, by crontab -e:"
    say "  */10 * * * * $(quoted "$command") renew --quiet"
  fi
  for conf in "$destdir$1"/*/*.conf; do
    folder=$(dirname -- "$conf")
    name=$(basename -- "$conf" .conf)
    [ -s "$folder/fullchain.cer" ] || continue
    case ${folder##*/} in
      "$name") kind= ;;
      "${name}_ecc") kind=' --ecc' ;;
      *) continue ;;
    esac
    offer "$as_owner$(quoted "$1/acme.sh") --home $(quoted "$1") --deploy -d $(quoted "$name")$kind --deploy-hook acme_oss"
  done
}

# --- dehydrated ---

find_dehydrated() {
  if [ -z "$dehydrated_config" ]; then
    for dehydrated_config in /etc/dehydrated/config /usr/local/etc/dehydrated/config ''; do
      [ ! -f "$destdir$dehydrated_config" ] || break
    done
  fi
  if [ -z "$dehydrated_config" ] || [ ! -f "$destdir$dehydrated_config" ]; then
    stop "dehydrated is not here: there is no ${dehydrated_config:-config in /etc/dehydrated or /usr/local/etc/dehydrated}" \
      'install dehydrated, or name its configuration: --with-dehydrated=FILE'
  fi
  command -v bash >/dev/null 2>&1 || stop 'bash is missing, which the configuration of dehydrated is written for' 'install bash'
  # Read as dehydrated reads it: it is a script.
  # shellcheck disable=SC2016
  found=$(DESTDIR=$destdir bash -c '
    BASEDIR=$(dirname "$1") CONFIG_D= HOOK= CERTDIR=
    . "$DESTDIR$1" >/dev/null
    [ -z "$CONFIG_D" ] || for one in "$DESTDIR$CONFIG_D"/*.sh; do [ ! -f "$one" ] || . "$one" >/dev/null; done
    printf "%s\n" "$CONFIG_D" "$HOOK" "${CERTDIR:-$BASEDIR/certs}"
  ' bash "$dehydrated_config") || stop "$dehydrated_config cannot be read" "mend it: dehydrated --env"
  config_folder=$(printf '%s\n' "$found" | sed -n 1p)
  certificates=$(printf '%s\n' "$found" | sed -n 3p)
  dehydrated_hook=$library/hooks/dehydrated/acme-oss.sh
  hook_there=$(printf '%s\n' "$found" | sed -n 2p)
  case $hook_there in
    '' | "$dehydrated_hook") ;;
    *)
      stop "dehydrated has a hook already: $hook_there" \
        "let that script call ours: $(quoted "$dehydrated_hook") \"\$@\"" \
        'install acme-oss without --with-dehydrated for that'
      ;;
  esac
}

hook_dehydrated() {
  if [ -n "$config_folder" ]; then
    place dehydrated 644 "$config_folder/acme-oss.sh" <<TEXT
# shellcheck shell=bash disable=SC2034
HOOK=$(quoted "$dehydrated_hook")
TEXT
  elif [ -z "$hook_there" ]; then
    record line "$dehydrated_config"
    config=$(mktemp)
    cat "$destdir$dehydrated_config" >"$config"
    # A last line without its end would become one with ours.
    [ -z "$(tail -c 1 "$config")" ] || echo >>"$config"
    # The mark is what --uninstall looks for.
    printf 'HOOK=%s # by install.sh of acme-oss\n' "$(quoted "$dehydrated_hook")" >>"$config"
    put_at "$destdir$dehydrated_config" cp "$config" "$destdir$dehydrated_config"
    rm -f "$config"
  fi
  say "dehydrated calls acme-oss: $dehydrated_hook"
  for folder in "$destdir$certificates"/*/; do
    folder=${folder%/}
    if [ ! -e "$folder/fullchain.pem" ] || [ ! -e "$folder/privkey.pem" ]; then continue; fi
    offer "$(
      quoted "$dehydrated_hook"
      printf ' deploy_cert'
      for word in "${folder##*/}" "${folder#"$destdir"}/privkey.pem" "${folder#"$destdir"}/cert.pem" \
        "${folder#"$destdir"}/fullchain.pem" "${folder#"$destdir"}/chain.pem" "$(date +%s)"; do
        printf ' %s' "$(quoted "$word")"
      done
    )"
  done
}

# --- certificates that are there already: certbot and its like call hooks on renewal only ---

offer() { printf '%s\n' "$1" >>"$offers"; }

offer_lineages() {
  [ -s "$offers" ] || return 0
  count=$(grep -c '' "$offers")
  if [ -z "$yes" ] && [ -z "$destdir" ] && [ -t 0 ] && [ -t 1 ]; then
    printf 'Deploy the certificates that are there already (%s) now? [y/N] ' "$count"
    read -r answer
    case $answer in [yY]*) yes=yes ;; esac
  fi
  if [ -z "$yes" ] || [ -n "$destdir" ]; then
    say 'Hooks are called on renewal. To deploy what is there already, say where to (acme-oss.yaml or env in'
    say '/etc/acme-oss), and then, as root:'
    sed 's/^/  /' "$offers"
    return 0
  fi
  failed=0
  while IFS= read -r line <&3; do
    as_root sh -c "$line" </dev/null || failed=$((failed + 1))
  done 3<"$offers"
  [ "$failed" -eq 0 ] || stop "installed, but $failed of $count certificates are not deployed" \
    'acme-oss status says what is missing; the timer tries it again'
}

# --- the timer ---

set_timer() {
  runs_by=$timer
  # What was set up once stays, until --timer says otherwise.
  [ -n "$runs_by" ] || runs_by=$(sed -n 's/^unit .*/systemd/p; s/^cron .*/cron/p; s/^no-timer .*/none/p' "$manifest" | head -n 1)
  if [ -z "$runs_by" ]; then
    if [ -d /run/systemd/system ] || [ -n "$destdir" ]; then runs_by=systemd; else runs_by=cron; fi
  fi
  [ "$runs_by" = systemd ] || remove_units
  [ "$runs_by" = cron ] || remove_recorded cron
  remove_recorded no-timer
  case $runs_by in
    none) record no-timer - ;;
    systemd) set_systemd_timer ;;
    cron)
      if [ -d "$destdir/etc/cron.d" ] || [ -n "$destdir" ]; then
        set_cron_line
      else
        say "Neither systemd nor cron runs here. Have this called every ten minutes: $command renew"
      fi
      ;;
  esac
}

set_systemd_timer() {
  remove_former_units
  place unit 644 "$units/acme-oss-renew.service" <<TEXT
[Unit]
Description=Renews certificates, and deploys what is wanted and not in place yet (acme-oss)
Wants=network-online.target
After=network-online.target

[Service]
Type=oneshot
EnvironmentFile=-/etc/acme-oss/env
ExecStart=$(unit_word "$command") renew
# Orders wait for DNS and for their CAs, and there may be thousands. A run that is ended here is gone on with by the next.
TimeoutStartSec=1d
UMask=0077

StateDirectory=acme-oss
StateDirectoryMode=0700
ProtectSystem=strict
$(written_paths)
# For credentials in ~/.aliyun, which are only read.
ProtectHome=read-only
# Folders that are written to may belong to the user of a web server; CAs are answered on ports 80 and 443.
CapabilityBoundingSet=CAP_DAC_OVERRIDE CAP_NET_BIND_SERVICE
NoNewPrivileges=yes
PrivateTmp=yes
PrivateDevices=yes
ProtectClock=yes
ProtectControlGroups=yes
ProtectHostname=yes
ProtectKernelLogs=yes
ProtectKernelModules=yes
ProtectKernelTunables=yes
RestrictAddressFamilies=AF_INET AF_INET6 AF_UNIX AF_NETLINK
RestrictNamespaces=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
LockPersonality=yes
SystemCallArchitectures=native
TEXT
  place unit 644 "$units/acme-oss-renew.timer" <<'TEXT'
[Unit]
Description=Every ten minutes: certificates that are due, or not in place yet (acme-oss)

[Timer]
OnBootSec=2min
OnCalendar=*:0/10
RandomizedDelaySec=5min
Persistent=yes

[Install]
WantedBy=timers.target
TEXT
  [ -z "$destdir" ] || return 0
  if [ -d /run/systemd/system ]; then
    as_root systemctl daemon-reload
    as_root systemctl enable --quiet --now acme-oss-renew.timer
    say 'The timer acme-oss-renew looks every ten minutes for what is due, or not in place yet'
  elif command -v systemctl >/dev/null 2>&1; then
    as_root systemctl enable --quiet acme-oss-renew.timer
    say 'The timer acme-oss-renew starts with the next boot: systemd does not run here now'
  else
    say 'The timer acme-oss-renew is written, and nothing here starts it: there is no systemctl'
  fi
}

# What called sync alone, before there was renew; what systemctl edit added to it stays in force.
remove_former_units() {
  grep -q '^unit .*/acme-oss-sync\.' "$manifest" || return 0
  for kind in service timer; do
    added=$destdir$units/acme-oss-sync.$kind.d
    if [ -d "$added" ] && [ ! -e "$destdir$units/acme-oss-renew.$kind.d" ]; then
      put_at "$added" mv "$added" "$destdir$units/acme-oss-renew.$kind.d"
    fi
  done
  remove_units
}

# The folders outside of /var/lib/acme-oss that are written to; a leading - lets the unit start without them.
written_paths() {
  { state_elsewhere && configured_paths; } | while IFS= read -r path; do
    [ -n "$path" ] || continue
    [ -d "$path" ] || say "$path does not exist yet: the timer cannot write there until it does" >&2
    printf 'ReadWritePaths=%s\n' "$(unit_word "-$path")"
  done
}
state_elsewhere() {
  [ -z "$destdir" ] || return 0
  # shellcheck disable=SC2016
  as_root env -i "$library/hooks/with-environment" /bin/sh -c 'printf "%s\n" "${ACME_OSS_STATE_DIR:-}"'
}
configured_paths() {
  if [ -n "$destdir" ]; then
    set -- node "$destdir$library/dist/cli/main.js" config paths --config "$destdir/etc/acme-oss/acme-oss.yaml" \
      --state-dir "$destdir/var/lib/acme-oss"
    [ -f "$destdir/etc/acme-oss/acme-oss.yaml" ] || return 0
  else
    set -- as_root env -i "$library/hooks/with-environment" "$command" config paths
  fi
  "$@" 2>"$log" || {
    cat "$log" >&2
    say 'The timer may write to its own state alone: the configuration cannot be read. Mend it, then run this again.' >&2
  }
}
# systemd's quotes; % is a specifier to it.
unit_word() { printf '"%s"' "$(printf '%s' "$1" | sed 's/[\\"]/\\&/g; s/%/%%/g')"; }

set_cron_line() {
  # Not every machine in the same minute; the one of this machine stays.
  minute=$(sed -n 's/^\([0-9]\)-59\/10 .*/\1/p' "$destdir$cron" 2>/dev/null || :)
  [ -n "$minute" ] || minute=$(($(od -An -N1 -tu1 /dev/urandom) % 10))
  # A run that takes longer than that is not joined by another; without flock, the other waits for it name by name.
  alone=
  ! command -v flock >/dev/null 2>&1 || alone="flock -n $(quoted "$command") "
  # cron ends a command at a bare %
  line=$(printf '%s%s %s renew --quiet' "$alone" "$(quoted "$library/hooks/with-environment")" "$(quoted "$command")" |
    sed 's/%/\\%/g')
  place cron 644 "$cron" <<TEXT
# Certificates that are due, or not in place yet (acme-oss)
$minute-59/10 * * * * root $line
TEXT
  say "cron looks every ten minutes for what is due, or not in place yet: $cron"
}

# --- away again ---

remove_units() {
  grep -q '^unit ' "$manifest" || return 0
  if [ -z "$destdir" ] && command -v systemctl >/dev/null 2>&1; then
    now=
    [ ! -d /run/systemd/system ] || now=--now
    called=$(sed -n 's|^unit .*/\(.*\.timer\)$|\1|p' "$manifest" | head -n 1)
    as_root systemctl disable --quiet ${now:+"$now"} "$called" || :
  fi
  remove_recorded unit
  if [ -z "$destdir" ] && [ -d /run/systemd/system ]; then as_root systemctl daemon-reload; fi
}

# remove_recorded KIND…: the files, and their lines in the manifest.
remove_recorded() {
  for gone in "$@"; do
    left=$(mktemp)
    while read -r kind path; do
      if [ "$kind" != "$gone" ]; then
        printf '%s %s\n' "$kind" "$path" >>"$left"
        continue
      fi
      case $kind in
        folder) put_at "$destdir$path" rmdir "$destdir$path" 2>/dev/null || : ;;
        line) forget_line "$destdir$path" ;;
        no-timer) ;;
        *) put_at "$destdir$path" rm -f "$destdir$path" ;;
      esac
    done <"$manifest"
    put cp "$left" "$manifest"
    rm -f "$left"
  done
}
forget_line() {
  [ -f "$1" ] || return 0
  config=$(mktemp)
  sed '/ # by install.sh of acme-oss$/d' "$1" >"$config"
  put_at "$1" cp "$config" "$1"
  rm -f "$config"
}

uninstall_command() {
  if [ -f "$manifest" ]; then
    remove_units
    remove_recorded cron certbot acme.sh dehydrated line
    # The innermost first.
    sort -r "$manifest" >"$log"
    put cp "$log" "$manifest"
    remove_recorded folder
  fi
  put rm -f "$destdir$command"
  put rm -rf "$destdir$library" "$destdir$library.new" "$destdir$library.old"
  say "Taken away: $destdir$command and $destdir$library"
  say 'Left as they are: /etc/acme-oss, and what was issued and recorded in /var/lib/acme-oss or ~/.local/state/acme-oss'
}

log=$(mktemp)
offers=$(mktemp)
trap 'rm -f "$log" "$offers"' EXIT
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
    need_packages pebble:pebble openssl:openssl certbot:certbot dehydrated:dehydrated lego:lego dash:dash
    cd "$here"
    need_modules
    npm test
    ;;
esac
