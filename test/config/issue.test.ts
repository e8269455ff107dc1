// An order whose options stand in the configuration: a flag beats the environment, which beats the file.
import { X509Certificate } from 'node:crypto'
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import t from 'tap'
import { bucket, keepSecret, proveSilence, region, type WorldRun } from '../deploy-world.js'
import { hasPebble, startPebble } from '../pebble.js'
import type { RunResult } from '../run-command.js'
import { type ConfigWorld, openConfigWorld, targetsOf } from './config-world.js'

const dryRun = async (world: ConfigWorld, words: readonly string[], more: WorldRun = {}): Promise<RunResult> =>
  world.call(['issue-and-deploy', '--dry-run', ...words], { ...more, terse: true })

/** What would be ordered, or what was wrong. */
const plan = async (world: ConfigWorld, words: readonly string[], more?: WorldRun): Promise<string> => {
  const { stdout, stderr } = await dryRun(world, words, more)
  return /would order at (.*)/.exec(stdout + stderr)?.[1] ?? stderr
}

const entries = `account: { email: ops@example.com, agree-tos: true }
certificates:
  site:
    domains: [example.com, www.example.com]
    issue:
      ca: [letsencrypt-staging, letsencrypt]
      challenge: dns-01
      solver: exec
      exec-auth: /bin/true
      key-type: ec384
    deploy:
      - directory: { path: out }
  other.example:
    domains: [other.example, www.other.example]
    issue: { key-type: rsa2048 }
    deploy:
      - directory: { path: other }
  hooked.example:
    deploy:
      - directory: { path: hooked }
`

const staging = 'letsencrypt-staging (https://acme-staging-v02.api.letsencrypt.org/directory)'
const letsencrypt = 'letsencrypt (https://acme-v02.api.letsencrypt.org/directory)'
/** Both of the entry, in its order. */
const both = `${staging}, else at ${letsencrypt}`
const site = 'example.com, www.example.com'

t.test('a name alone is enough', async (t) => {
  const world = await openConfigWorld(t)
  const file = world.write('acme-oss.yaml', entries)
  const by = { environment: { ACME_OSS_CONFIG: file } }
  t.equal(await plan(world, ['--name', 'site'], by), `${both}: ${site}; ec384, proven by dns-01 with exec`)
  const json = await dryRun(world, ['--name', 'site', '--json'], by)
  t.match(targetsOf(json), [`directory ${world.path('out')}`])
  t.match(JSON.parse(json.stdout), { ok: true, certificate: null, order: { ca: 'letsencrypt-staging', placed: false } })
  const named = { environment: { ...by.environment, ACME_OSS_NAME: 'site' } }
  t.match(await plan(world, [], named), new RegExp(`: ${site};`), 'by its variable')
  t.match(await plan(world, ['--name', 'sit'], by), /has no entry for sit\n.*--domain/)
  t.match(await plan(world, ['--name', 'hooked.example'], by), /has no domains for hooked\.example\n.*--domain/)
  t.match(await plan(world, [], by), /no name is given/)
  t.equal(world.emulator.connections, 0)
  t.notOk(existsSync(world.state))
})

t.test('names that are typed find their entry', async (t) => {
  const world = await openConfigWorld(t)
  const by = { environment: { ACME_OSS_CONFIG: world.write('acme-oss.yaml', entries) } }
  const typed = ['-d', 'www.example.com', '-d', 'EXAMPLE.com']
  const same = `${both}: www.example.com, example.com; ec384, proven by dns-01 with exec`
  t.equal(await plan(world, typed, by), same, 'the entry of exactly these')
  t.same(targetsOf(await dryRun(world, [...typed, '--json'], by)), [`directory ${world.path('out')}`])
  const more = ['-d', 'other.example', '-d', 'new.example']
  const first = `${letsencrypt}: other.example, new.example; rsa2048, proven by http-01 with standalone`
  t.equal(await plan(world, more, by), first, 'or of the first, under which it is filed: options as well as targets')
  t.same(targetsOf(await dryRun(world, [...more, '--json'], by)), [`directory ${world.path('other')}`])
  const named = ['--name', 'site', '-d', 'a.example.com']
  t.equal(await plan(world, named, by), `${both}: a.example.com; ec384, proven by dns-01 with exec`, 'or of the name')
  t.match(await plan(world, ['-d', 'stranger.example'], by), /has no entry for stranger\.example\n/)
  const free = await plan(world, ['-d', 'stranger.example', '--directory', '/nonexistent/flag'], by)
  t.equal(free, `${letsencrypt}: stranger.example; ec256, proven by http-01 with standalone`, 'the account is known')
})

t.test('a flag beats the environment, which beats the file', async (t) => {
  const world = await openConfigWorld(t)
  const file = world.write('acme-oss.yaml', entries)
  const order = (words: readonly string[], environment: Readonly<Record<string, string>> = {}): Promise<string> =>
    plan(world, ['--name', 'site', ...words], { environment: { ACME_OSS_CONFIG: file, ...environment } })
  const variables = { ACME_OSS_KEY_TYPE: 'rsa3072', ACME_OSS_CA: 'letsencrypt' }
  t.equal(await order([], variables), `${letsencrypt}: ${site}; rsa3072, proven by dns-01 with exec`)
  const flags = ['--key-type', 'ec256', '--challenge', 'http-01', '--solver', 'standalone']
  t.equal(await order(flags, variables), `${letsencrypt}: ${site}; ec256, proven by http-01 with standalone`)
  t.equal(await order([], { ACME_OSS_KEY_TYPE: '' }), `${both}: ${site}; ec384, proven by dns-01 with exec`)
  t.match(await order([], { ACME_OSS_AGREE_TOS: '0' }), /its terms have not been agreed to/, 'off is said, too')
  t.match(await order(['--email', 'nope']), /"nope" is not an e-mail address/)
  t.match(await order(['-d', 'a.example.com'], { ACME_OSS_DOMAIN: 'b.example.com' }), /: a\.example\.com;/)
  t.match(await order([], { ACME_OSS_DOMAIN: 'b.example.com' }), /: b\.example\.com;/)

  world.write('acme-oss.yaml', entries.replace(', agree-tos: true', ''))
  t.match(await order([]), /its terms have not been agreed to/)
  t.match(await order(['--agree-tos']), new RegExp(`: ${site};`))
})

t.test('bindings belong to their CA, and files lie beside the configuration', async (t) => {
  const world = await openConfigWorld(t)
  const hmac = keepSecret('c2VjcmV0LWhtYWMta2V5LW9mLXplcm9zc2w')
  world.write('etc/zerossl.key', `${hmac}\n`)
  const file = world.write(
    'etc/acme-oss.yaml',
    `account:
  agree-tos: true
  eab:
    zerossl: { kid: KID-Z, hmac-key-file: zerossl.key }
    google: { kid: KID-G, hmac-key-file: ../missing.key }
certificates:
  a.example:
    domains: [a.example]
    issue: { ca: zerossl }
    deploy: [{ directory: { path: out } }]
  b.example:
    domains: [b.example]
    issue: { ca-bundle: ca.pem }
    deploy: [{ directory: { path: out } }]
`,
  )
  const order = (...words: readonly string[]): Promise<string> =>
    plan(world, words, { environment: { ACME_OSS_CONFIG: file }, folder: '/' })
  t.match(await order('--name', 'a.example'), /^zerossl .*: a\.example;/)
  const missing = (path: string) => new RegExp(`^error: ${world.path(path)} cannot be read: there is no such file\n`)
  t.match(await order('--name', 'a.example', '--ca', 'google'), missing('missing.key'), "the chosen CA's")
  t.match(await order('--name', 'a.example', '--ca', 'sslcom'), /^error: sslcom .*\n.*--eab-kid/, 'and no other')
  t.match(await order('--name', 'a.example', '--ca', 'letsencrypt'), /^letsencrypt /)
  t.match(await order('--name', 'b.example'), missing('etc/ca.pem'))
  t.match(await order('--name', 'b.example', '--ca-bundle', '/nonexistent'), /^error: \/nonexistent cannot be read/)
  const own = ['--eab-kid', 'K', '--eab-hmac-key-file', world.path('etc/zerossl.key'), '--ca', 'google']
  t.match(await order('--name', 'a.example', ...own), /^google /, 'a flag beats them')
})

await t.test('at a real CA', { skip: !hasPebble() && 'pebble is not installed' }, async (t) => {
  const hmac = keepSecret('zWNDZM6eQGHWpSRTPal5eIUYFTu7EajVIoguysqZ9wG44nMEtx3MUAsUDkMTQ12W')
  const [pebble, world] = await Promise.all([
    startPebble({ externalAccountBinding: { 'kid-1': hmac } }),
    openConfigWorld(t),
  ])
  t.teardown(() => pebble.close())
  world.write('etc/ca.pem', pebble.caPem)
  world.write('etc/eab.key', hmac)
  const file = world.write(
    'etc/acme-oss.yaml',
    `account:
  email: ops@example.com
  agree-tos: true
  eab:
    "${pebble.directoryUrl}": { kid: kid-1, hmac-key-file: eab.key }
defaults:
  oss: { bucket: ${bucket}, region: ${region}, endpoint: "${world.emulator.url}" }
certificates:
  site:
    domains: [b.example.com, a.example.com]
    issue:
      ca: ${pebble.directoryUrl}
      ca-bundle: ca.pem
      http-port: ${pebble.httpPort}
      key-type: ec384
    deploy:
      - oss: { prefix: site/ }
      - directory: { path: out }
`,
  )
  const run = (words: readonly string[] = []): Promise<RunResult> =>
    world.run(['issue-and-deploy', ...words], { environment: { ACME_OSS_CONFIG: file }, folder: '/' })
  const leaf = (): X509Certificate => new X509Certificate(readFileSync(world.path('etc/out/latest/cert.pem')))

  const issued = await run(['--name', 'site'])
  t.equal(issued.code, 0, issued.stderr)
  t.same(leaf().subjectAltName?.split(', ').sort(), ['DNS:a.example.com', 'DNS:b.example.com'])
  t.equal(leaf().publicKey.asymmetricKeyDetails?.namedCurve, 'secp384r1')
  t.equal(
    world.objects.get('site/latest/cert.pem')?.body.toString(),
    readFileSync(world.path('etc/out/latest/cert.pem'), 'utf8'),
  )
  t.same(readdirSync(`${world.state}/certificates`), ['site'], 'filed under the name of the entry')
  const [ca = ''] = readdirSync(`${world.state}/accounts`)
  t.ok(readdirSync(`${world.state}/accounts/${ca}`).includes(encodeURIComponent('ops@example.com')), 'its account')

  const again = await run(['-d', 'a.example.com', '-d', 'b.example.com'])
  t.equal(again.code, 0, again.stderr)
  t.equal(pebble.issued(), 1, 'the same entry by its names: nothing is due')
  const other = await run(['--name', 'site', '--key-type', 'ec256'])
  t.equal(other.code, 0, other.stderr)
  t.equal(pebble.issued(), 2)
  t.equal(leaf().publicKey.asymmetricKeyDetails?.namedCurve, 'prime256v1')
})

await proveSilence(t)
