// install.sh below a folder of its own (DESTDIR). npm is a stand-in that links the packages that are here already: what
// is looked at is which files come, stay and go.
import {
  cpSync,
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { dirname, join } from 'node:path'
import t, { type Test } from 'tap'
import { type Ended, hasCommand, makeFolder, projectRoot, quoted, runProgram, writeExecutable } from './hook-world.js'

interface Machine {
  /** Below which everything is written. */
  readonly root: string
  install(words?: readonly string[], environment?: Readonly<Record<string, string>>): Promise<Ended>
  /** Writes a file of the machine, such as `/etc/letsencrypt/cli.ini`. */
  file(path: string, text?: string): void
  text(path: string): string
  has(path: string): boolean
  /** Every file with its mode and content, without what npm and the build bring. */
  files(): Record<string, string>
}

const openMachine = (t: Test): Machine => {
  const folder = makeFolder(t)
  const [root, clone, tools] = ['root', 'a clone', 'tools'].map((name) => join(folder, name)) as [
    string,
    string,
    string,
  ]
  // Without tsconfig.build.json nothing is built, which other tests would notice.
  for (const part of ['install.sh', 'dist', 'hooks', 'package.json', 'package-lock.json', 'LICENSE', 'README.md']) {
    cpSync(join(projectRoot, part), join(clone, part), { recursive: true, dereference: true })
  }
  mkdirSync(root)
  writeExecutable(join(tools, 'npm'), `#!/bin/sh\nexec ln -s ${quoted(join(projectRoot, 'node_modules'))} .\n`)
  symlinkSync(process.execPath, join(tools, 'node'))
  const at = (path: string): string => join(root, path)
  return {
    root,
    install: (words = [], environment = {}) =>
      runProgram(join(clone, 'install.sh'), words, {
        PATH: `${tools}:/usr/bin:/bin`,
        HOME: '/root',
        DESTDIR: root,
        ...environment,
      }),
    file: (path, text = '') => {
      mkdirSync(dirname(at(path)), { recursive: true })
      writeFileSync(at(path), text)
    },
    text: (path) => readFileSync(at(path), 'utf8'),
    has: (path) => existsSync(at(path)),
    files: () =>
      Object.fromEntries(
        readdirSync(root, { recursive: true, encoding: 'utf8' })
          .filter((name) => !/acme-oss\/(dist|node_modules)(\/|$)/.test(name))
          .sort()
          .map((name) => {
            const found = lstatSync(at(name))
            const mode = (found.mode & 0o777).toString(8)
            return [name, found.isFile() ? `${mode} ${readFileSync(at(name), 'utf8')}` : mode]
          }),
      ),
  }
}

const library = '/usr/local/lib/acme-oss'
const unit = '/etc/systemd/system/acme-oss-renew'

/** Three clients with a certificate each. */
const withClients = (machine: Machine): void => {
  for (const file of ['fullchain.pem', 'privkey.pem']) {
    machine.file(`/etc/letsencrypt/live/it's-0001/${file}`)
    machine.file(`/var/lib/dehydrated/certs/example.com/${file}`)
  }
  machine.file('/etc/dehydrated/config', 'CONFIG_D=/etc/dehydrated/conf.d\nBASEDIR=/var/lib/dehydrated\n')
  mkdirSync(join(machine.root, '/etc/dehydrated/conf.d'))
  machine.file('/root/.acme.sh/acme.sh')
  machine.file('/root/.acme.sh/*.example.com_ecc/*.example.com.conf')
  machine.file('/root/.acme.sh/*.example.com_ecc/fullchain.cer', 'PEM')
  machine.file('/root/.acme.sh/not.issued/not.issued.conf')
}
const all = ['--with-certbot', '--with-acme.sh', '--with-dehydrated'] as const

t.test('everything comes, stays as it is, and goes', async (t) => {
  const machine = openMachine(t)
  withClients(machine)
  const before = machine.files()
  const first = await machine.install(all)
  t.equal(first.code, 0, first.stderr)
  const after = machine.files()
  const hook = '/etc/letsencrypt/renewal-hooks/deploy/acme-oss'
  for (const [path, mode] of [
    ['usr/local/bin/acme-oss', '755'],
    ['etc/acme-oss', '700'],
    ['etc/acme-oss/env', '600'],
    [hook.slice(1), '755'],
    ['root/.acme.sh/deploy/acme_oss.sh', '644'],
    ['etc/dehydrated/conf.d/acme-oss.sh', '644'],
    [`${unit.slice(1)}.service`, '644'],
    [`${unit.slice(1)}.timer`, '644'],
  ] as const) {
    t.equal(after[path]?.split(' ')[0], mode, path)
  }
  t.match(machine.text(hook), "\nacme_oss='/usr/local/bin/acme-oss'\n", 'no PATH is needed')
  t.match(machine.text('/root/.acme.sh/deploy/acme_oss.sh'), "\nacme_oss='/usr/local/bin/acme-oss'\n")
  t.match(machine.text(hook), `\nwith_environment='${library}/hooks/with-environment'\n`)
  t.match(machine.text('/etc/dehydrated/conf.d/acme-oss.sh'), `HOOK='${library}/hooks/dehydrated/acme-oss.sh'`)
  t.match(machine.text(`${library}/hooks/dehydrated/acme-oss.sh`), "\nacme_oss='/usr/local/bin/acme-oss'\n")
  t.match(machine.text('/usr/local/bin/acme-oss'), /^#!\/bin\/sh\nexec '\/.*\/node' '\/usr\/local\/lib\/acme-oss\/dist/)
  t.notMatch(machine.text('/etc/acme-oss/env'), /^[^#]/m, 'comments alone')

  // certbot and dehydrated call hooks on renewal, so what is there needs a word of its own.
  t.match(first.stdout, `RENEWED_LINEAGE='/etc/letsencrypt/live/it'\\''s-0001' '${hook}'\n`)
  t.match(first.stdout, `--deploy -d '*.example.com' --ecc --deploy-hook acme_oss\n`)
  t.match(first.stdout, `'${library}/hooks/dehydrated/acme-oss.sh' deploy_cert 'example.com' '/var/lib/dehydrated/`)
  t.notMatch(first.stdout, 'not.issued')

  machine.file('/etc/acme-oss/env', 'ALIBABA_CLOUD_ACCESS_KEY_ID=mine\n')
  t.equal((await machine.install(all)).code, 0)
  t.same(machine.files(), { ...after, 'etc/acme-oss/env': '600 ALIBABA_CLOUD_ACCESS_KEY_ID=mine\n' }, 'once more')

  machine.file(hook, 'of an older version')
  t.equal((await machine.install()).code, 0)
  t.equal(machine.files()[hook.slice(1)], after[hook.slice(1)], 'an update brings hooks up to date')

  const gone = await machine.install(['--uninstall'])
  t.equal(gone.code, 0, gone.stderr)
  const left = machine.files()
  for (const kept of ['etc/acme-oss', 'etc/acme-oss/env', 'usr', 'usr/local', 'usr/local/bin', 'usr/local/lib']) {
    t.ok(kept in left, kept)
    delete left[kept]
  }
  t.same(left, before, 'nothing else is left, and nothing else was touched')
})

t.test('a client that is not here, or that somebody else has set up: said, and nothing is changed', async (t) => {
  const machine = openMachine(t)
  for (const option of all) {
    const { code, stderr } = await machine.install([option])
    t.equal(code, 1)
    t.match(stderr, /^install\.sh: \S+ is not here: .*\n {2}what to do: install .*=(DIR|FILE)\n$/, option)
    t.same(machine.files(), {}, option)
  }
  withClients(machine)
  machine.file('/etc/dehydrated/conf.d/own.sh', 'HOOK=/own/hook\n')
  const taken = await machine.install(['--with-dehydrated'])
  t.equal(taken.code, 1)
  t.match(taken.stderr, /has a hook already: \/own\/hook\n.*let that script call ours/)
  machine.file('/etc/letsencrypt/cli.ini', 'no-directory-hooks = true\n')
  t.match((await machine.install(['--with-certbot'])).stderr, 'not to run')
  machine.file('/etc/letsencrypt/cli.ini')
  const foreign = '/etc/letsencrypt/renewal-hooks/deploy/acme-oss'
  machine.file(foreign, '#!/bin/sh\n')
  t.match((await machine.install(['--with-certbot'])).stderr, 'is not of acme-oss')
  t.equal(machine.text(foreign), '#!/bin/sh\n')
})

t.test('a configuration of dehydrated without a last line end, and with our line commented out', async (t) => {
  const machine = openMachine(t)
  const own = `#HOOK='${library}/hooks/dehydrated/acme-oss.sh'\nWELLKNOWN=/var/www/x`
  machine.file('/etc/dehydrated/config', own)
  const { code, stderr } = await machine.install(['--with-dehydrated'])
  t.equal(code, 0, stderr)
  t.match(machine.text('/etc/dehydrated/config').slice(own.length), /^\nHOOK='\/usr.*' # by install.sh of acme-oss\n$/)
  await machine.install(['--uninstall'])
  t.equal(machine.text('/etc/dehydrated/config'), `${own}\n`)
})

t.test('clients are found where they are, not where they usually are', async (t) => {
  const machine = openMachine(t)
  machine.file('/etc/letsencrypt/cli.ini', 'email = a@example.com\nconfig-dir = /srv/le config\n')
  machine.file('/srv/le config/x')
  machine.file('/opt/acme/acme.sh')
  machine.file('/usr/local/etc/dehydrated/config', 'HOOK_CHAIN=no\n')
  const { code, stderr } = await machine.install(all, { LE_WORKING_DIR: '/opt/acme' })
  t.equal(code, 0, stderr)
  t.ok(machine.has('/srv/le config/renewal-hooks/deploy/acme-oss'))
  t.ok(machine.has('/opt/acme/deploy/acme_oss.sh'))
  t.match(
    machine.text('/usr/local/etc/dehydrated/config'),
    /^HOOK_CHAIN=no\nHOOK='\/usr.*' # by install.sh of acme-oss\n$/,
  )
  t.equal((await machine.install(all, { LE_WORKING_DIR: '/opt/acme' })).code, 0)
  t.equal(machine.text('/usr/local/etc/dehydrated/config').split('\n').length, 3, 'one line, however often')
  await machine.install(['--uninstall'])
  t.equal(machine.text('/usr/local/etc/dehydrated/config'), 'HOOK_CHAIN=no\n')
  t.notOk(machine.has('/srv/le config/renewal-hooks'))
})

t.test('the timer: cron instead of systemd, none, and back', async (t) => {
  const machine = openMachine(t)
  const cron = '/etc/cron.d/acme-oss'
  t.equal((await machine.install(['--timer', 'cron', '--prefix', '/opt/100%'])).code, 0)
  const line = machine.text(cron)
  const alone = hasCommand('flock') ? "flock -n '/opt/100\\%/bin/acme-oss' " : ''
  const run = "'/opt/100\\%/lib/acme-oss/hooks/with-environment' '/opt/100\\%/bin/acme-oss' renew --quiet"
  t.match(line, /^\d-59\/10 \* \* \* \* root /m)
  t.equal(line.split(' root ')[1], `${alone}${run}\n`)
  t.notOk(machine.has(`${unit}.timer`))
  await machine.install(['--prefix', '/opt/100%'])
  t.equal(machine.text(cron), line, 'the minute stays')
  await machine.install(['--prefix', '/opt/100%', '--timer=systemd'])
  t.notOk(machine.has(cron))
  t.ok(machine.has(`${unit}.timer`))
  await machine.install(['--prefix', '/opt/100%', '--timer=none'])
  await machine.install(['--prefix', '/opt/100%'])
  t.notOk(machine.has(cron) || machine.has(`${unit}.timer`), 'none stays none')
  t.equal((await machine.install(['--timer', 'sometimes'])).code, 1)
})

t.test('the units are sound, and may write where the configuration writes to', async (t) => {
  const machine = openMachine(t)
  const wanted = ['/srv/100% "certs"', '/var/www/ssl']
  machine.file(
    '/etc/acme-oss/acme-oss.yaml',
    `certificates:\n  example.com:\n    domains: [example.com]\n    issue: { webroot: /var/www/html }\n    deploy:\n${wanted.map((path) => `      - directory: { path: '${path}' }\n`).join('')}`,
  )
  const solver = { solver: 'webroot', webroot: '/srv/by hand' }
  const ca = [{ name: 'test', directory: 'https://ca.example/directory' }]
  const issue = { ca, agreeTos: true, keyType: 'ec256', reuseKey: false, caTimeout: 600, eab: {}, solver }
  const record = { schema: 2, name: 'a', names: ['a'], issue, deploy: [] }
  machine.file('/var/lib/acme-oss/certificates/a/certificate.json', JSON.stringify(record))
  const { code, stderr } = await machine.install()
  t.equal(code, 0, stderr)
  const service = machine.text(`${unit}.service`)
  t.match(service, '\nReadWritePaths="-/srv/100%% \\"certs\\""\nReadWritePaths="-/var/www/ssl"\n')
  t.match(service, '\nReadWritePaths="-/var/www/html"\nReadWritePaths="-/srv/by hand"\n', 'and where CAs look')
  t.match(service, /^CapabilityBoundingSet=.*\bCAP_NET_BIND_SERVICE\b/m, 'and may answer them on port 80')
  t.match(service, '\nExecStart="/usr/local/bin/acme-oss" renew\n')
  t.match(stderr, '/var/www/ssl does not exist yet')
  t.match(service, '\nEnvironmentFile=-/etc/acme-oss/env\n')
  if (!hasCommand('systemd-analyze')) return
  // On the machine itself the command is there; here something has to stand in for it.
  const units = makeFolder(t)
  writeFileSync(join(units, 'acme-oss-renew.service'), service.replace('"/usr/local/bin/acme-oss"', '"/bin/true"'))
  writeFileSync(join(units, 'acme-oss-renew.timer'), machine.text(`${unit}.timer`))
  const judged = await runProgram('systemd-analyze', ['verify', 'acme-oss-renew.service', 'acme-oss-renew.timer'], {
    PATH: '/usr/bin:/bin',
    SYSTEMD_UNIT_PATH: `${units}:`,
    SYSTEMD_LOG_LEVEL: 'warning',
  })
  const ours = judged.stderr.split('\n').filter((line) => line.includes('acme-oss'))
  t.same(ours, [])
})

t.test('an installation of before there was renew', async (t) => {
  const machine = openMachine(t)
  const former = '/etc/systemd/system/acme-oss-sync'
  machine.file(`${former}.service`, 'ExecStart="/usr/local/bin/acme-oss" sync\n')
  machine.file(`${former}.timer`)
  machine.file(`${former}.service.d/override.conf`, '[Service]\nNice=10\n')
  machine.file(`${library}/installed`, `unit ${former}.service\nunit ${former}.timer\n`)
  t.equal((await machine.install()).code, 0)
  t.notOk(machine.has(`${former}.service`) || machine.has(`${former}.timer`))
  t.ok(machine.has(`${unit}.service`) && machine.has(`${unit}.timer`))
  t.match(machine.text(`${unit}.service.d/override.conf`), 'Nice=10', 'what was added by hand')
  t.notMatch(machine.text(`${library}/installed`), 'acme-oss-sync')
  const cron = '/etc/cron.d/acme-oss'
  machine.file(cron, "7-59/10 * * * * root '/x' sync --quiet\n")
  machine.file(`${library}/installed`, `cron ${cron}\n`)
  t.equal((await machine.install()).code, 0)
  t.match(machine.text(cron), /^7-59\/10 .* renew --quiet$/m, 'the line of cron, at the same minute')
})

t.test('a configuration that is broken stops no installation', async (t) => {
  const machine = openMachine(t)
  machine.file('/etc/acme-oss/acme-oss.yaml', 'certificates: [\n')
  const { code, stderr } = await machine.install()
  t.equal(code, 0)
  t.match(stderr, 'Mend it, then run this again')
  t.notMatch(machine.text(`${unit}.service`), 'ReadWritePaths')
})
