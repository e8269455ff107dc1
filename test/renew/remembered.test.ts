// What is remembered between two renewals: damaged by somebody's hand, taken out of the configuration, and put back.
import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import t from 'tap'
import { webroot } from '../../src/solvers/webroot.js'
import { type CertificateRecord, CertificateStore } from '../../src/state/certificates.js'
import { OrdersInProgress } from '../../src/state/order-in-progress.js'
import { StateFolder } from '../../src/state/state-folder.js'
import { makeFolder, testOutput } from '../issue-command.js'
import { runCommand } from '../run-command.js'
import { startStubCa } from '../stub-ca.js'
import { at, openRenewWorld } from './renew-world.js'

const directory = 'https://ca.example/directory'

const record: CertificateRecord = {
  schema: 2,
  name: 'a.example.com',
  names: ['a.example.com', 'b.example.com'],
  issue: {
    ca: [{ name: 'test', directory }],
    agreeTos: true,
    keyType: 'ec256',
    reuseKey: false,
    caTimeout: 600,
    solver: { solver: 'webroot', challenge: 'http-01', webroot: '/srv/www' },
    eab: {},
  },
  deploy: [{ kind: 'directory', settings: { path: '/srv/ssl' } }],
  current: {
    id: '0123456789ab',
    notBefore: '2026-01-01T00:00:00.000Z',
    notAfter: '2026-04-01T00:00:00.000Z',
    directory,
    keyType: 'ec256',
    advice: { nextLook: '2026-01-02T00:00:00.000Z' },
  },
}

const order = {
  schema: 1,
  url: 'https://ca.example/order/1',
  directory,
  account: 'https://ca.example/account/1',
  names: ['a.example.com'],
  keyType: 'ec256',
  placedAt: '2026-01-01T00:00:00.000Z',
  solver: { solver: 'webroot', webroot: '/srv/www' },
  challenges: [{ type: 'http-01', domain: 'a.example.com', token: 'a_b-9', place: '/x', value: 'v' }],
}

/** The same with another value somewhere in it; `undefined` takes it out. */
const but = (whole: object, path: string, value: unknown): unknown => {
  const copy = structuredClone(whole)
  const keys = path.split('.')
  const last = keys.pop() ?? ''
  const inner = keys.reduce((at, key) => (at as Record<string, unknown>)[key] as object, copy as object)
  ;(inner as Record<string, unknown>)[last] = value
  return copy
}

const put = (path: string, content: unknown): void => {
  mkdirSync(dirname(path), { recursive: true })
  writeFileSync(path, typeof content === 'string' ? content : JSON.stringify(content))
}

t.test('a record that somebody damaged is not gone by', async (t) => {
  const state = await StateFolder.open(makeFolder(t))
  const read = async (content: unknown, name = 'a.example.com') => {
    put(state.path('certificates', name, 'certificate.json'), content)
    return await new CertificateStore(state, name).read()
  }
  t.same(await read(record), record)
  t.match(await read(but(record, 'current', undefined)), { ...record, current: undefined }, 'none is issued yet')
  const damaged: readonly [string, unknown][] = [
    ['schema', 1],
    ['name', undefined],
    ['names', ['']],
    ['names', [null]],
    ['configured', 'yes'],
    ['forgotten', 1],
    ['issue', null],
    ['issue.ca', []],
    ['issue.ca', [null]],
    ['issue.ca', [{ name: 'test', directory: 'no URL' }]],
    ['issue.agreeTos', 'yes'],
    ['issue.keyType', undefined],
    ['issue.caTimeout', '600'],
    ['issue.solver', null],
    ['issue.solver', { solver: {} }],
    ['issue.eab', null],
    ['issue.eab', { [directory]: { kid: 'k' } }],
    ['issue.standby', {}],
    ['deploy', {}],
    ['deploy', [null]],
    ['deploy', [{ kind: 'directory', settings: null }]],
    ['deploy', [{ kind: 'directory', settings: { path: {} } }]],
    ['current', null],
    ['current.id', undefined],
    ['current.id', '../../x'],
    ['current.notBefore', 'soon'],
    ['current.notAfter', 1],
    ['current.directory', 'file:///etc/passwd'],
    ['current.keyType', null],
    ['current.revokedAt', 'long ago'],
  ]
  for (const [path, value] of damaged)
    t.equal(await read(but(record, path, value)), undefined, `${path}: ${JSON.stringify(value)}`)
  t.equal(await read('{'), undefined)
  t.equal(await read(record, 'c.example.com'), undefined, 'copied under another name')
  const long = `${'x'.repeat(250)}.example.com`
  t.same(await read({ ...record, name: long }, long), { ...record, name: long }, 'a long name is shortened on disk')
  for (const advice of [null, {}, { nextLook: 'soon' }, { nextLook: directory }, { window: { start: 'a' } }]) {
    t.same(await read(but(record, 'current.advice', advice)), but(record, 'current.advice', undefined))
  }
})

t.test('nor is an order in progress, which goes', async (t) => {
  const state = await StateFolder.open(makeFolder(t))
  const orders = new OrdersInProgress(state, 'a.example.com')
  const file = state.path('certificates', 'a.example.com', 'orders', 'ca.example/directory.json')
  const key = state.path('certificates', 'a.example.com', 'orders', 'ca.example/directory.key.pem')
  const left = () => state.filesNow(['certificates', 'a.example.com', 'orders'])
  put(file, order)
  t.match(await orders.list(), [{ url: order.url }])
  t.match(await orders.read(directory), { challenges: order.challenges })
  await orders.sweep()
  t.equal(left()?.length, 1, 'one that is whole stays')
  put(file, { ...order, url: null })
  t.match(await orders.list(), [{ url: undefined, names: order.names }])
  const challenge = order.challenges[0]
  const damaged: readonly [string, unknown][] = [
    ['directory', undefined],
    ['directory', 'no URL'],
    ['directory', 'https://ca.example/other'],
    ['url', 'file:///etc/passwd'],
    ['url', 7],
    ['names', [null]],
    ['solver', null],
    ['solver', {}],
    ['challenges', [null]],
    ['challenges', [{ ...challenge, token: '../../../victim' }]],
    ['challenges', [{ ...challenge, token: '' }]],
    ['challenges', [{ ...challenge, token: ['a'] }]],
    ['challenges', [{ ...challenge, value: 1 }]],
    ['challenges', [{ ...challenge, type: 'no-01' }]],
  ]
  for (const [path, value] of damaged) {
    put(file, but(order, path, value))
    put(key, 'a key')
    const what = `${path}: ${JSON.stringify(value)}`
    t.same(await orders.list(), [], what)
    t.equal(await orders.read(directory), undefined, what)
    await orders.sweep()
    t.same(left(), [], `${what} is taken away with its key`)
  }
})

t.test('nothing is written or removed beside the folder for challenges', async (t) => {
  const folder = makeFolder(t)
  const web = join(folder, 'web')
  mkdirSync(web)
  writeFileSync(join(folder, 'victim'), 'precious')
  const solver = webroot({ folder: web })
  const bad = {
    type: 'http-01',
    domain: 'a.example.com',
    place: '/',
    value: 'v',
    token: '../../../victim',
  } as const
  await t.rejects(async () => solver.present(bad, [], new AbortController().signal), { code: 'SOLVER_FAILED' })
  await t.rejects(async () => solver.cleanUp(bad, [], new AbortController().signal), { code: 'SOLVER_FAILED' })
  t.equal(readFileSync(join(folder, 'victim'), 'utf8'), 'precious')
  t.same(readdirSync(web), [], 'not even a folder was made')
})

t.test('what the configuration had', async (t) => {
  const world = await openRenewWorld(t)
  const { ca } = world
  mkdirSync(world.path('web'))
  ca.manners.lifetime = { days: 90, used: 0.1 }
  const entry = (name: string) => `
  ${name}:
    domains: [${name}]
    issue: { ca: '${ca.directoryUrl}', webroot: '${world.path('web')}' }
    deploy: [{ directory: { path: '${world.path(name)}' } }]`
  const configure = (...names: readonly string[]) =>
    world.configure(`account: { agree-tos: true }\ncertificates:${names.map(entry).join('') || ' {}'}\n`)
  const [c, d] = ['c.example.com', 'd.example.com']
  const renew = async (...words: readonly string[]) => {
    const result = await world.renew(words, { here: true })
    const names = result.json.results.filter(({ due }) => due !== undefined).map(({ name, due }) => `${name} ${due}`)
    return { ...result, names }
  }
  const recorded = (name: string): Partial<CertificateRecord> =>
    JSON.parse(readFileSync(join(world.state, 'certificates', name, 'certificate.json'), 'utf8'))
  configure(c, d)
  t.same((await renew()).names, [`${c} true`, `${d} true`])

  await t.test('is remembered where the file was emptied or has gone', async (t) => {
    configure()
    const emptied = await renew()
    t.equal(emptied.code, 0, emptied.stderr)
    t.same(emptied.names, [`${c} false`, `${d} false`])
    t.equal(emptied.stderr.match(/holds no certificates any more: what is remembered/g)?.length, 1)
    const words = ['renew', '--json', '--state-dir', world.state]
    const gone = await runCommand(words, { here: true, environment: { HOME: world.path('home') } })
    t.match(JSON.parse(gone.stdout), {
      results: [
        { name: c, due: false },
        { name: d, due: false },
      ],
      warnings: [/there is no configuration any more/],
    })
    t.match(gone.stderr, /there is no configuration any more: what is remembered/)
    t.match([recorded(c).forgotten, recorded(d).forgotten], [undefined, undefined])
  })

  await t.test('is forgotten where it was taken out, for good', async (t) => {
    configure(d)
    t.same((await renew('--dry-run')).names, [`${d} false`])
    t.equal(recorded(c).forgotten, undefined, 'not by who only looks')
    const { names, stderr } = await renew()
    t.same(names, [`${d} false`])
    t.notMatch(stderr, /remembered/)
    t.equal(recorded(c).forgotten, true)
    world.configure('certificates: [')
    t.same((await renew()).names, [`${d} false`], 'and does not come back')
  })

  await t.test('is renewed again where it was put back', async (t) => {
    const orders = ca.orders.length
    configure(c, d)
    t.same((await renew()).names, [`${c} false`, `${d} false`])
    t.match(recorded(c), { configured: true, forgotten: undefined })
    world.configure('certificates: [')
    t.same((await renew()).names, [`${c} false`, `${d} false`])
    t.equal(ca.orders.length, orders, 'what is not due is not ordered')
  })
})

t.test('what stands by, and what was replaced', async (t) => {
  const world = await openRenewWorld(t)
  const { ca } = world
  const second = await startStubCa(t)
  mkdirSync(world.path('web'))
  for (const one of [ca, second]) one.manners.lifetime = { days: 90, used: 0.1 }
  const here = { here: true }
  const run = (...words: readonly string[]) => runCommand([...words, '--state-dir', world.state], here)
  const certificate = (name: string) => join(world.state, 'certificates', name)
  const versions = () => readdirSync(certificate(name)).filter((one) => /^[0-9a-f]{12}$/.test(one))
  const keys = () =>
    [name, `${name}~standby`].flatMap((one) =>
      readdirSync(certificate(one), { recursive: true, encoding: 'utf8' }).filter((file) =>
        file.endsWith('privkey.pem'),
      ),
    )
  const name = 'e.example.com'
  const words = [...at(ca, world.path('web'), name), '--directory', world.path('e'), '--standby', second.directoryUrl]
  t.equal((await world.issue(words, here)).code, 0)
  t.equal((await world.renew([], here)).code, 0)

  await t.test('stands by without being missed elsewhere', async (t) => {
    const { code, stdout } = await run('status')
    t.equal(code, 0, stdout)
    t.match(stdout, `directory ${world.path('e')} (archive only): done`)
    t.notMatch(stdout, 'certificate is there, valid')
  })

  await t.test('is put into the archive alone when it is tried again', async (t) => {
    rmSync(world.path('e'), { recursive: true })
    writeFileSync(world.path('e'), 'a file in its place')
    rmSync(certificate(`${name}~standby`), { recursive: true })
    t.equal((await world.renew([], here)).code, 3)
    rmSync(world.path('e'))
    const { code, stdout, stderr } = await run('sync', '--now')
    t.equal(code, 0, stderr)
    t.match(stdout, 'archive only')
    t.match(readdirSync(world.path('e')), [/^\d{4}-/])
    t.equal(readdirSync(world.path('e')).length, 1, 'no latest')
  })

  await t.test('nothing else is called so', async (t) => {
    const issued = await world.issue([...words, '--name', 'x~standby'], here)
    t.equal(issued.code, 2)
    t.match(issued.stderr, 'no certificate can be called x~standby')
    writeFileSync(world.path('bad.yaml'), 'certificates:\n  x~standby: { domains: [x.example.com] }\n')
    for (const command of [
      ['config', 'check'],
      ['issue-and-deploy', '--name', 'x', '--dry-run'],
    ]) {
      const { code, stdout } = await run(...command, '--json', '--config', world.path('bad.yaml'))
      t.equal(code, 2)
      t.match(JSON.parse(stdout), { error: { code: 'CONFIG_INVALID', message: /must not end in ~standby/ } })
    }
  })

  await t.test('the version before is kept, and no other', async (t) => {
    const [first] = versions()
    mkdirSync(join(certificate(name), 'notes'))
    t.equal((await world.issue([...words, '--force-renewal'], here)).code, 0)
    const before = versions()
    t.equal(before.length, 2)
    t.equal((await world.issue([...words, '--force-renewal'], here)).code, 0)
    t.equal(versions().length, 2)
    t.notOk(versions().includes(first ?? ''))
    t.ok(
      versions().some((one) => before.includes(one)),
      'the one before',
    )
    t.ok(readdirSync(certificate(name)).includes('notes'), 'what is no version of ours is left alone')
  })

  await t.test('goes with all its keys when it is forgotten', async (t) => {
    t.equal(keys().length, 3)
    const { code, stdout, stderr } = await run('forget', name)
    t.equal(code, 0)
    t.match(stdout, `its renewal`)
    t.match(stdout, `the renewal of ${name}~standby`)
    t.notMatch(stderr, 'warning')
    t.same(keys(), [])
    const revoked = await run('revoke', name)
    t.equal(revoked.code, 0, revoked.stderr)
    t.match(revoked.stderr, 'in the name of the account')
    const { json } = await world.renew([], here)
    t.same(
      json.results.filter(({ due }) => due !== undefined),
      [],
    )
  })

  await t.test('is ordered anew where an entry still has it issued, which forget says', async (t) => {
    world.configure(`
account: { agree-tos: true }
certificates:
  ${name}:
    domains: [${name}]
    issue: { ca: '${ca.directoryUrl}', webroot: '${world.path('web')}' }
    deploy: [{ directory: { path: '${world.path('e')}' } }]
`)
    const forget = await run('forget', name, '--config', world.path('acme-oss.yaml'), '--json')
    t.equal(forget.code, 0)
    t.match(forget.stderr, 'take the entry out as well')
    t.match(JSON.parse(forget.stdout), { warnings: [/take the entry out as well/] })
    const { json } = await world.renew([], here)
    t.match(
      json.results.filter(({ due }) => due !== undefined),
      [{ name, due: true, why: 'there is none yet', error: null }],
    )
    t.ok(world.deployed('e'))
  })
})

t.test('what issue-and-deploy is to be called, and what it goes by', async (t) => {
  const world = await openRenewWorld(t)
  const { ca } = world
  const here = { here: true }
  const [f, g] = ['f.example.com', 'g.example.com']
  mkdirSync(world.path('web'))
  ca.manners.lifetime = { days: 90, used: 0.1 }
  const to = ['--directory', world.path('f')]
  const recorded = (name: string): Partial<CertificateRecord> =>
    JSON.parse(readFileSync(join(world.state, 'certificates', name, 'certificate.json'), 'utf8'))
  t.equal((await world.issue([...at(ca, world.path('web'), f, g), ...to], here)).code, 0)

  await t.test('the same names in another order are the same certificate', async (t) => {
    const { code, stderr } = await world.issue([...at(ca, world.path('web'), g, f), ...to], here)
    t.equal(code, 0, stderr)
    t.equal(ca.orders.length, 1)
    t.same(readdirSync(join(world.state, 'certificates')), [f])
    t.equal((await world.issue([...at(ca, world.path('web'), g), '--directory', world.path('g')], here)).code, 0)
    t.same(recorded(g).names, [g], 'others are another')
    t.same(recorded(f).names?.length, 2)
  })

  await t.test("what an entry has issued is the entry's", async (t) => {
    t.equal(recorded(g).configured, undefined)
    const others = `
  h.example.com: { domains: [h.example.com] }`
    const entry = `
  ${g}:
    domains: [${g}]
    issue: { ca: '${ca.directoryUrl}', webroot: '${world.path('web')}' }
    deploy: [{ directory: { path: '${world.path('g')}' } }]`
    world.configure(`account: { agree-tos: true }\ncertificates:${others}${entry}\n`)
    const { code, stderr } = await world.issue([...at(ca, world.path('web'), g), '--directory', world.path('g')], here)
    t.equal(code, 0, stderr)
    t.match(stderr, `from now on renew goes by what ${world.path('acme-oss.yaml')} says of ${g}`)
    t.equal(recorded(g).configured, true)
    world.configure(`certificates:${others}\n`)
    const { json } = await world.renew([], here)
    t.same(
      json.results.filter(({ due }) => due !== undefined).map(({ name }) => name),
      [f],
      'taking it out ends its renewal',
    )
  })
})

t.test('nothing was given away by any of this', async (t) => testOutput(t))
