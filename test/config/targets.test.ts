// Which entry a certificate belongs to, and where that sends it.
import { readFileSync } from 'node:fs'
import t from 'tap'
import {
  bucket,
  deploymentsIn,
  keepSecret,
  type Material,
  mintMaterial,
  proveSilence,
  provesFiles,
  provesLayout,
  region,
  resultOf,
} from '../deploy-world.js'
import { type ConfigWorld, entriesFor, errorOf, openConfigWorld, targetsOf } from './config-world.js'

const names = ['example.com', 'www.example.com']
const material = await mintMaterial({ names })

/** By certbot's hook, without doing anything: folders by the name of their entry, or what was wrong. */
const entryOf = async (world: ConfigWorld, file: string, name: string, of: Material): Promise<string> => {
  const run = await world.hooked(name, of, ['--dry-run', '--config', file])
  return targetsOf(run)
    .map((target) => target.replace(`directory ${world.path('out')}/`, ''))
    .join()
}

t.test('an entry is found by name, else by exactly the same names', async (t) => {
  const world = await openConfigWorld(t)
  const file = world.write(
    'acme-oss.yaml',
    entriesFor({
      'example.com-0001': ['else.example'],
      site: ['WWW.example.com.', 'Example.COM'],
      umlaut: ['bücher.example', '*.bücher.example'],
      address: ['2001:DB8:0:0:0:0:0:1'],
      wider: [...names, 'more.example.com'],
      constructor: ['a.example'],
    }),
  )
  const of = (...names: readonly string[]): Promise<Material> => mintMaterial({ names })
  const found = async (name: string, one: Material): Promise<string> => entryOf(world, file, name, one)
  t.equal(await found('example.com-0001', material), 'example.com-0001', 'the name counts, whatever it is for')
  t.equal(await found('example.com-0002', material), 'site', 'order, case and the last dot do not matter')
  t.equal(await found('x', await of('*.xn--bcher-kva.example', 'xn--bcher-kva.example')), 'umlaut')
  t.equal(await found('x', await of('2001:db8::1')), 'address')
  t.equal(await found('x', await of('more.example.com', ...names)), 'wider')
  t.equal(await found('constructor', material), 'constructor')
  const none = /^USAGE: nothing says where the certificate is to go: .*acme-oss\.yaml has no entry for /
  t.match(await found('x', await of('example.com')), none, 'fewer names are not enough')
  t.match(await found('x', await of(...names, 'b.example')), none, 'nor others')
  t.match(await found('toString', await of('b.example')), none)

  const renamed = await world.hooked('x', material, ['--dry-run', '--name', 'wider', '--config', file])
  t.same(targetsOf(renamed), [`directory ${world.path('out/wider')}`], '--name is heeded')
  t.same(await world.planned(material, ['--config', file]), [`directory ${world.path('out/site')}`], 'deploy as well')
})

t.test('two entries of the same names', async (t) => {
  const world = await openConfigWorld(t)
  const entries = entriesFor({ rsa: names, ecdsa: [...names].reverse() })
  const file = world.write('acme-oss.yaml', entries)
  const hook = await world.hooked('example.com', material, ['--config', file])
  t.equal(hook.code, 1, 'recorded, since a hook is called once')
  t.match(errorOf(hook), { code: 'CONFIG_INVALID', message: /rsa and ecdsa have the same domains as example\.com$/ })
  t.match(errorOf(hook)?.hint, /name one of them example\.com/)
  t.match(deploymentsIn(world.state), [{ privateKey: String }], 'with its key')
  t.equal(await entryOf(world, file, 'ecdsa', material), 'ecdsa', 'a name decides')
  const order = ['issue-and-deploy', '-d', 'www.example.com', '-d', 'example.com', '--dry-run', '--json']
  const typed = await world.run([...order, '--config', file])
  t.match(errorOf(typed), { code: 'CONFIG_INVALID', message: /same domains as www\.example\.com, example\.com$/ })
  t.match(errorOf(typed)?.hint, /--name/)

  world.write('acme-oss.yaml', entries.replace('"ecdsa"', '"example.com"'))
  const synced = await world.run(['sync', '--now'], { environment: { ACME_OSS_CONFIG: file } })
  t.equal(synced.code, 0, synced.stderr)
  provesFiles(t, material, (name) => readFileSync(world.path('out/ecdsa/latest', name)))
  t.match(deploymentsIn(world.state), [{ privateKey: undefined }])
})

t.test('defaults, and paths beside the file', async (t) => {
  const world = await openConfigWorld(t)
  const file = world.write(
    'etc/acme-oss.yaml',
    `defaults:
  oss: { bucket: my-ssl-certs, region: cn-hangzhou, prefix: all/, cname-endpoint: true, endpoint: https://a.example }
  directory: { path: everything }
certificates:
  example.com:
    deploy:
      - oss: {}
      - oss: { prefix: own/, cname-endpoint: false, endpoint: https://oss-cn-hangzhou-internal.aliyuncs.com }
      - oss: { bucket: other-certs, prefix: other }
      - directory: {}
      - directory: { path: ../beside }
      - directory: { path: /nonexistent/absolute }
`,
  )
  const expected = [
    'oss my-ssl-certs/all/',
    'oss my-ssl-certs/own/',
    'oss other-certs/other/',
    `directory ${world.path('etc/everything')}`,
    `directory ${world.path('beside')}`,
    'directory /nonexistent/absolute',
  ]
  t.same(await world.planned(material, ['--config', file]), expected)
  const line = ['deploy', '--fullchain', '-', '--dry-run', '--json', '--config', 'acme-oss.yaml']
  const standing = { input: material.fullchain + material.key, folder: world.path('etc') }
  t.same(targetsOf(await world.run(line, standing)), expected, 'from where it stands')
  const paths = await world.run(['config', 'paths', '--config', file])
  t.equal(paths.stdout, `${world.path('etc/everything')}\n${world.path('beside')}\n/nonexistent/absolute\n`)
})

/** One entry into the world's bucket, with a key that is in no file. */
const toBucket = (world: ConfigWorld, more = ''): string =>
  world.write(
    'acme-oss.yaml',
    `defaults:
  oss: { bucket: ${bucket}, region: ${region}, endpoint: "${world.emulator.url}" }
certificates:
  example.com:
    domains: [example.com, www.example.com]
    deploy:
      - oss: { prefix: certs/example.com/${more} }
      - directory: { path: out }
`,
  )

t.test('a deployment, a hook, and what is recorded of them', async (t) => {
  const world = await openConfigWorld(t)
  const file = toBucket(world)
  const deployed = await world.deploy(material, ['--config', file])
  t.equal(deployed.code, 0, deployed.stderr)
  provesLayout(t, world.objects, material)
  provesFiles(t, material, (name) => readFileSync(world.path('out/latest', name)))
  const newer = await mintMaterial({ names, notBefore: new Date(Date.now() - 60_000) })
  const hook = await world.hooked('example.com', newer, [], { environment: { ACME_OSS_CONFIG: file } })
  t.equal(hook.code, 0, hook.stderr)
  provesFiles(t, newer, (name) => readFileSync(world.path('out/latest', name)))
  t.match(
    resultOf(hook).stages.map(({ target }) => target),
    [/^oss my-ssl-certs\/certs\/example\.com\/$/, /^directory \/.*\/out$/],
  )
})

t.test('targets by flags or variables replace the list, and that is said', async (t) => {
  const world = await openConfigWorld(t)
  const file = toBucket(world)
  const given = { ACME_OSS_CONFIG: file }
  const notice = new RegExp(`targets were given: what ${file} says of them is left aside\n`)
  const only = ['directory /nonexistent/flag']
  const flag = await world.deploy(material, ['--dry-run', '--directory', '/nonexistent/flag'], { environment: given })
  t.match(flag, { code: 0, stderr: notice })
  t.notMatch(flag.stdout, /certs\/example\.com|\/out/)
  const line = ['--directory', '/nonexistent/flag']
  t.same(await world.planned(material, line, { environment: given }), only)
  const variable = { environment: { ...given, ACME_OSS_DIRECTORY: '/nonexistent/flag' } }
  t.same(await world.planned(material, [], variable), only)
  const hook = await world.hooked('example.com', material, ['--dry-run'], variable)
  t.same(targetsOf(hook), only)
  t.match(hook.stderr, notice)
  const unread = { environment: { ...variable.environment, ACME_OSS_CONFIG: world.write('broken.yaml', 'a: [') } }
  t.same(targetsOf(await world.hooked('example.com', material, ['--dry-run'], unread)), only, 'and it is not read')
  const without = await world.deploy(material, ['--dry-run', ...line], { folder: '/' })
  t.notMatch(without.stderr, /left aside/)
  t.match(await world.planned(material, ['--prefix', 'a/'], { environment: given }), [/^USAGE: --prefix .*no bucket/])
})

t.test("how a bucket is reached and what may be done applies to the file's own targets", async (t) => {
  const world = await openConfigWorld(t)
  const file = toBucket(world, ', endpoint: "https://unreachable.invalid"')
  const flag = ['--config', file, '--endpoint', world.emulator.url]
  const newer = await mintMaterial({
    names,
    notBefore: new Date(Date.now() - 60_000),
    notAfter: new Date(Date.now() + 1e10),
  })
  const deployed = await world.deploy(newer, flag)
  t.equal(deployed.code, 0, deployed.stderr)
  const kept = await world.deploy(material, [...flag, '--json'])
  t.equal(kept.code, 0, kept.stderr)
  const latest = resultOf(kept).stages.map(({ steps }) => steps.find(({ id }) => id === 'latest')?.status)
  t.same(latest, ['unchanged', 'unchanged'], 'a newer one is there')
  const older = await world.hooked('example.com', material, [], {
    environment: { ACME_OSS_CONFIG: file, ACME_OSS_ENDPOINT: world.emulator.url, ACME_OSS_ALLOW_OLDER: '1' },
  })
  t.equal(older.code, 0, older.stderr)
  provesFiles(t, material, (name) => world.objects.get(`certs/example.com/latest/${name}`)?.body)
  provesFiles(t, material, (name) => readFileSync(world.path('out/latest', name)))

  const secret = keepSecret('hunter2hunter2hunter2')
  const wrong = await world.planned(material, ['--config', file, '--endpoint', `https://u:${secret}@a.example`])
  t.match(wrong, [/^USAGE: --endpoint has an @ in it/], "a flag's fault is not the file's")
  const regionless = world.write('regionless.yaml', 'certificates: { x: { deploy: [{ oss: { bucket: my-certs } }] } }')
  const words = ['--name', 'x', '--config', regionless]
  const internal = ['--endpoint', 'https://oss-cn-hangzhou-internal.aliyuncs.com']
  t.same(
    await world.planned(material, [...words, ...internal]),
    ['oss my-certs/'],
    'what a flag says need not be there',
  )
  const stray = world.write('stray.yaml', entriesFor({ other: ['other.example'] }))
  t.match(await world.planned(material, ['--config', stray, ...internal]), [/^USAGE: --endpoint .* no bucket is given/])
})

t.test('an entry without targets', async (t) => {
  const world = await openConfigWorld(t)
  for (const deploy of ['', ', deploy: []']) {
    const file = world.write('acme-oss.yaml', `certificates: { example.com: { domains: [example.com]${deploy} } }\n`)
    t.match(await world.planned(material, ['--config', file]), [/^USAGE: .*acme-oss\.yaml: example\.com has no deploy/])
  }
})

await proveSilence(t)
