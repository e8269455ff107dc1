// `config check`, `init` and `paths`, as a person and as install.sh calls them.
import { existsSync, mkdirSync, readFileSync, statSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { isRoot, keepSecret, proveSilence } from '../deploy-world.js'
import { type CheckResult, errorOf, openConfigWorld } from './config-world.js'

const both = `account:
  email: ops@example.com
  agree-tos: true
  eab: { zerossl: { kid: KEY-ID, hmac-key-file: zerossl.key } }
defaults:
  oss: { bucket: my-ssl-certs, region: cn-hangzhou }
certificates:
  Example.com:
    domains: [Example.COM, bücher.example]
    deploy:
      - oss: { prefix: certs/example.com }
      - directory: { path: out }
  wild.example.com:
    domains: ['*.wild.example.com']
    issue: { ca: [letsencrypt, zerossl], solver: exec, exec-auth: "/bin/set 'a b'" }
    deploy:
      - oss: { prefix: wild/ }
  elsewhere:
    domains: [else.example]
`

t.test('check, in words and as JSON', async (t) => {
  const world = await openConfigWorld(t)
  // A file that the order will need is not the check's business: it may be root's.
  const file = world.write('acme-oss.yaml', both)
  const text = await world.run(['config', 'check'], { environment: { ACME_OSS_CONFIG: file }, terse: true })
  t.match(text, { code: 0, stderr: '' })
  t.equal(
    text.stdout,
    `Example.com (from a hook): oss my-ssl-certs/certs/example.com/, directory ${world.path('out')}
wild.example.com (issued by acme-oss): oss my-ssl-certs/wild/
elsewhere (from a hook): goes nowhere: it has no deploy list
${file} is in order
`,
  )
  const { code, json } = await world.check(both)
  t.equal(code, 0)
  t.same(json, {
    schema: 'acme-oss/1',
    command: 'config',
    ok: true,
    path: file,
    certificates: [
      {
        name: 'Example.com',
        domains: ['example.com', 'xn--bcher-kva.example'],
        source: 'hook',
        deploy: ['oss my-ssl-certs/certs/example.com/', `directory ${world.path('out')}`],
      },
      {
        name: 'wild.example.com',
        domains: ['*.wild.example.com'],
        source: 'issue',
        deploy: ['oss my-ssl-certs/wild/'],
      },
      { name: 'elsewhere', domains: ['else.example'], source: 'hook', deploy: [] },
    ],
    error: null,
  })
  t.equal(world.emulator.connections, 0)
  t.notOk(existsSync(world.state), 'there is nothing to remember')
})

t.test('words that there are not', async (t) => {
  const world = await openConfigWorld(t)
  const cases: readonly (readonly [words: readonly string[], message: RegExp, hint: RegExp])[] = [
    [[], /was given too little/, /check\|schema\|init\|paths/],
    [['chekc'], /does not know "chekc"/, /check, schema, init, paths/],
    [['constructor'], /does not know "constructor"/, /check, schema/],
    [['check', 'more'], /does not know "more"/, /--help/],
  ]
  for (const [words, message, hint] of cases) {
    const run = await world.run(['config', ...words, '--json'])
    t.equal(run.code, 2)
    t.match(errorOf(run), { code: 'USAGE', message, hint })
  }
  const help = await world.run(['config', '--help'])
  t.match(help, { code: 0, stdout: /init/ })
})

t.test('init writes a file that is in order', async (t) => {
  const world = await openConfigWorld(t)
  const file = world.path('etc', 'new', 'acme-oss.yaml')
  const run = await world.run(['config', 'init', '--config', file], { terse: true })
  t.match(run, {
    code: 0,
    stderr: '',
    stdout: `${file} is written; fill it in, then: acme-oss config check --config ${file}\n`,
  })
  t.equal(statSync(file).mode & 0o777, 0o644, 'no secret belongs in it')
  const text = readFileSync(file, 'utf8')
  t.match((await world.check(text)).json, { ok: true, certificates: [] })

  // A remark has one blank behind the #; what is to be filled in has none, or those that it is indented by.
  const examples = text.replace(/^#(?! \S)/gm, '')
  t.match(examples, /^certificates:$/m)
  t.notMatch(examples, /^#\S/m)
  const { code, json } = await world.check(examples, 'etc/examples.yaml')
  t.equal(code, 0, json.error?.message ?? '')
  t.match(json.certificates, [
    { name: 'example.com', source: 'hook', deploy: [/^oss /, /^directory \//] },
    { name: 'wild.example.com', source: 'issue', deploy: [/^oss /] },
  ])
  const lines = text.split('\n')
  t.ok(
    lines.every((line) => line === '' || line.startsWith('#')),
    'nothing is in force before it is filled in',
  )

  // Every example by itself, too.
  const parts = examples.split(/^(?=[a-z]+:$)/m).slice(1)
  t.equal(parts.length, 4)
  const [account = '', defaults = ''] = parts
  for (const part of [account, defaults]) t.equal((await world.check(part)).code, 0, part)
})

t.test('init leaves what is there alone', async (t) => {
  const world = await openConfigWorld(t)
  const secret = keepSecret('hunter2hunter2hunter2hunter2')
  const file = world.write('acme-oss.yaml', `# ${secret}\n`)
  symlinkSync('nowhere', world.path('link.yaml'))
  mkdirSync(world.path('folder.yaml'))
  for (const path of [file, world.path('link.yaml'), world.path('folder.yaml')]) {
    const run = await world.run(['config', 'init', '--json', '--config', path])
    t.equal(run.code, 2, path)
    t.match(errorOf(run), { code: 'USAGE', message: `${path} is there already`, hint: /acme-oss config check/ })
  }
  t.equal(readFileSync(file, 'utf8'), `# ${secret}\n`)
  t.notOk(existsSync(world.path('nowhere')))

  writeFileSync(world.path('file'), '')
  const blocked = await world.run(['config', 'init', '--json', '--config', world.path('file', 'acme-oss.yaml')])
  t.equal(blocked.code, 1)
  t.match(errorOf(blocked), { code: 'FOLDER_UNWRITABLE', message: /cannot be written/, hint: /--config/ })

  const [first, second] = await Promise.all(
    [1, 2].map(() => world.run(['config', 'init', '--json', '--config', world.path('both.yaml')])),
  )
  t.same([first?.code, second?.code].sort(), [0, 2], 'of two at once, one writes')
})

t.test('init in the home', { skip: isRoot && 'root has it in /etc' }, async (t) => {
  const world = await openConfigWorld(t)
  const run = await world.run(['config', 'init', '--json'])
  const path = world.path('home/.config/acme-oss/acme-oss.yaml')
  t.match(JSON.parse(run.stdout), { ok: true, path })
  t.ok(existsSync(path))
})

t.test('paths, one a line', async (t) => {
  const world = await openConfigWorld(t)
  const file = world.write(
    'acme-oss.yaml',
    `certificates:
  a: { deploy: [{ directory: { path: out } }, { oss: { bucket: my-certs, region: cn-hangzhou } }] }
  b:
    domains: [b.example]
    issue: { webroot: web }
    deploy: [{ directory: { path: out/ } }, { directory: { path: "/srv/a b" } }]
  c: { domains: [c.example], issue: { solver: standalone, webroot: elsewhere } }
`,
  )
  const paths = async (environment: Readonly<Record<string, string>>): Promise<readonly [string, unknown]> => {
    const [text, json] = await Promise.all([
      world.run(['config', 'paths'], { environment }),
      world.run(['config', 'paths', '--json'], { environment }),
    ])
    t.same([text.code, json.code], [0, 0])
    return [text.stdout, (JSON.parse(json.stdout) as CheckResult['json'] & { paths: unknown }).paths]
  }
  const own = [world.path('out'), '/srv/a b', world.path('web')]
  t.same(await paths({ ACME_OSS_CONFIG: file }), [`${own.join('\n')}\n`, own], 'each once')
  t.notOk(existsSync(world.state), 'nothing is made for that')

  const remember = (name: string, solver: object) => {
    const ca = [{ name: 'test', directory: 'https://ca.example/directory' }]
    const issue = { ca, agreeTos: true, keyType: 'ec256', reuseKey: false, caTimeout: 600, eab: {}, solver }
    const deploy = [{ kind: 'directory', settings: { path: `/srv/${name}` } }]
    mkdirSync(join(world.state, 'certificates', name), { recursive: true })
    const record = JSON.stringify({ schema: 2, name, names: [name], issue, deploy })
    writeFileSync(join(world.state, 'certificates', name, 'certificate.json'), record)
  }
  remember('b', { solver: 'webroot', webroot: '/srv/former' })
  remember('hand', { solver: 'webroot', webroot: '/srv/web' })
  remember('port', { solver: 'standalone', webroot: '/srv/unused' })
  const more = [...own, '/srv/hand', '/srv/web', '/srv/port', '/srv/variable', '/srv/web 2']
  const variables = { ACME_OSS_DIRECTORY: '/srv/variable', ACME_OSS_WEBROOT: '/srv/web 2' }
  t.same(
    await paths({ ACME_OSS_CONFIG: file, ...variables }),
    [`${more.join('\n')}\n`, more],
    'and what was issued by hand, where the configuration does not say how it is issued',
  )
})

await proveSilence(t)
