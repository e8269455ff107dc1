// What the certificates of one run of `renew` have in common, and what happens to them meanwhile.
import { once } from 'node:events'
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { type AddressInfo, createServer } from 'node:net'
import { join } from 'node:path'
import t from 'tap'
import { testOutput } from '../issue-command.js'
import { runCommand } from '../run-command.js'
import { startStubCa } from '../stub-ca.js'
import { at, openRenewWorld } from './renew-world.js'

const isDue = { days: 90, used: 0.7 }
const isFresh = { days: 90, used: 0.1 }
const here = { here: true }

const freePort = async (): Promise<number> => {
  const server = createServer().listen(0, '::')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  server.close()
  await once(server, 'close')
  return port
}

t.test('one server on one port, for what is remembered and what is configured', async (t) => {
  const world = await openRenewWorld(t)
  const { ca } = world
  const port = await freePort()
  const issuer = ['--ca', ca.directoryUrl, '--agree-tos', '--http-port', `${port}`, '--dns-timeout', '30']
  ca.manners.lifetime = isDue
  t.equal((await world.issue(['-d', 'a.example.com', ...issuer, '--directory', world.path('a')], here)).code, 0)
  ca.manners.lifetime = isFresh
  world.configure(`
account: { agree-tos: true }
certificates:
  b.example.com:
    domains: [b.example.com]
    issue: { ca: '${ca.directoryUrl}', http-port: ${port} }
    deploy: [{ directory: { path: '${world.path('b')}' } }]
`)
  // Neither order is over before the other has begun.
  let release = () => {}
  const both = new Promise<void>((resolve) => {
    release = resolve
  })
  const waits = async () => {
    await Promise.race([both, new Promise((resolve) => setTimeout(resolve, 5000).unref())])
    return undefined
  }
  ca.onRequest(1, waits, { kind: 'authorization' })
  ca.onRequest(2, async () => void release(), { kind: 'newOrder' })
  const { code, json, stderr } = await world.renew([], here)
  t.equal(code, 0, stderr)
  t.match(json.results, [
    { name: 'b.example.com', order: { placed: true }, error: null },
    { name: 'a.example.com', order: { placed: true }, error: null },
  ])
})

t.test('one that is forgotten, or issued for other names, while another is renewed', async (t) => {
  const world = await openRenewWorld(t)
  const { ca } = world
  mkdirSync(world.path('web'))
  const words = (name: string, ...more: readonly string[]) => [
    ...at(ca, world.path('web'), name, ...more),
    ...['--name', name, '--directory', world.path(name)],
  ]
  ca.manners.lifetime = isDue
  for (const name of ['a.example.com', 'b.example.com', 'c.example.com']) {
    t.equal((await world.issue(words(name), here)).code, 0)
  }
  ca.manners.lifetime = isFresh
  const before = ca.orders.length
  const meanwhile = async () => {
    t.equal((await runCommand(['forget', 'b.example.com', '--state-dir', world.state], here)).code, 0)
    ca.manners.lifetime = isDue
    t.equal((await world.issue(words('c.example.com', 'd.example.com'), here)).code, 0)
    ca.manners.lifetime = isFresh
    return undefined
  }
  ca.onRequest(1, meanwhile, { kind: 'newOrder' })
  const { code, json, stderr } = await world.renew(['--concurrency', '1'], here)
  t.equal(code, 0, stderr)
  t.match(json.results, [
    { name: 'a.example.com', due: true, order: { placed: true }, error: null },
    { name: 'b.example.com', due: false, order: null, error: null },
    { name: 'c.example.com', due: false, order: null, error: null },
  ])
  t.match(stderr, /warning: b\.example\.com: it was forgotten meanwhile, so it is left to the next run/)
  t.match(stderr, /warning: c\.example\.com: something else was asked for meanwhile/)
  t.same(
    ca.orders
      .slice(before)
      .map(({ names }) => names)
      .sort(),
    [['a.example.com'], ['c.example.com', 'd.example.com']],
    'one by each of the two runs',
  )
  const next = await world.renew([], here)
  t.match(next.json.results, [
    { name: 'a.example.com', due: false },
    { name: 'c.example.com', due: true, order: { placed: true }, error: null },
  ])
  t.equal(next.json.results.length, 2)
  t.same(ca.orders.at(-1)?.names, ['c.example.com', 'd.example.com'])
})

t.test('what is not due needs no file to be told so', async (t) => {
  const ca = await startStubCa(t, 'https')
  const world = await openRenewWorld(t, ca)
  mkdirSync(world.path('web'))
  ca.manners.lifetime = isFresh
  ca.manners.renewalInfo = 'the last third'
  writeFileSync(world.path('ca.pem'), ca.caPem)
  const words = at(ca, world.path('web'), 'a.example.com')
  const issued = await world.issue(
    [...words, '--ca-bundle', world.path('ca.pem'), '--directory', world.path('a')],
    here,
  )
  t.equal(issued.code, 0, issued.stderr)
  const file = join(world.state, 'certificates', 'a.example.com', 'certificate.json')
  const record = JSON.parse(readFileSync(file, 'utf8'))
  const advice = { nextLook: '2020-01-01T00:00:00.000Z' }
  writeFileSync(file, JSON.stringify({ ...record, current: { ...record.current, advice } }))
  rmSync(world.path('ca.pem'))
  const { code, json } = await world.renew([], here)
  t.equal(code, 0)
  t.match(json.results, [{ name: 'a.example.com', due: false, error: null }])
  const { nextLook } = JSON.parse(readFileSync(file, 'utf8')).current.advice
  const wait = Date.parse(nextLook) - Date.now()
  t.ok(wait > 0 && wait <= 3_600_000, 'it is tried again in an hour')
  const due = await world.renew(['a.example.com', '--force-renewal'], here)
  t.match(due.json.results, [{ due: true, error: { code: 'FILE_UNREADABLE' } }], 'and told of where it is needed')
})

t.test('advice', async (t) => {
  const world = await openRenewWorld(t)
  const { ca } = world
  mkdirSync(world.path('web'))
  ca.manners.lifetime = isFresh
  ca.manners.renewalInfo = 'the last third'
  const names = Array.from({ length: 5 }, (_, i) => `n${i}.example.com`)
  const entries = names.map(
    (name) => `
  ${name}:
    domains: [${name}]
    issue: { ca: '${ca.directoryUrl}', webroot: '${world.path('web')}' }
    deploy: [{ directory: { path: '${world.path(name)}' } }]`,
  )
  world.configure(`account: { agree-tos: true }\ncertificates:${entries.join('')}\n`)
  t.equal((await world.renew([], here)).code, 0)
  t.equal(ca.count('renewalInfo'), 0)
  const file = (name: string) => join(world.state, 'certificates', name, 'certificate.json')
  const read = (name: string) => JSON.parse(readFileSync(file(name), 'utf8'))
  const askNow = (): void => {
    for (const name of names) {
      const { current, ...rest } = read(name)
      const advice = { nextLook: '2020-01-01T00:00:00.000Z' }
      writeFileSync(file(name), JSON.stringify({ ...rest, current: { ...current, advice } }))
    }
  }
  const asked = (from: number) => ca.count('renewalInfo') - from

  await t.test('is not waited for again and again', async (t) => {
    askNow()
    ca.fail('renewalInfo', 'hang', 2)
    const { code, json } = await world.renew(['--timeout', '1', '--concurrency', '2'], here)
    t.equal(code, 0)
    t.same(
      json.results.map(({ due, error }) => [due, error]),
      names.map(() => [false, null]),
    )
    t.equal(asked(0), 2, 'by each of the two that are looked after at a time')
    for (const name of names) {
      const wait = Date.parse(read(name).current.advice.nextLook) - Date.now()
      t.ok(wait > 0 && wait <= 3_600_000, `${name} is asked for again in an hour`)
    }
  })

  await t.test('is asked for where the CA is by now', async (t) => {
    askNow()
    ca.move()
    const [before, directories] = [ca.count('renewalInfo'), ca.count('directory')]
    t.equal((await world.renew([], here)).code, 0)
    t.equal(asked(before), 5)
    t.equal(ca.count('directory') - directories, 1, 'found out once')
    for (const name of names) t.match(read(name).current.advice, { window: { start: String } })
    askNow()
    t.equal((await world.renew([], here)).code, 0)
    t.equal(ca.count('directory') - directories, 1, 'and kept')
  })
})

t.test('without credentials, nothing is ordered', async (t) => {
  const world = await openRenewWorld(t)
  const solvers = [
    ['--solver', 'alidns', '--challenge', 'dns-01'],
    ['--solver', 'bucket', '--challenge-bucket', 'my-website', '--challenge-region', 'cn-hangzhou'],
  ]
  // No metadata service is asked, which would take its time.
  const environment = { ALIBABA_CLOUD_ECS_METADATA_DISABLED: 'true' }
  for (const solver of solvers) {
    const words = ['-d', 'a.example.com', '--ca', world.ca.directoryUrl, '--agree-tos', ...solver]
    const result = await world.issue([...words, '--directory', world.path('a'), '--json'], { ...here, environment })
    t.equal(result.code, 1)
    t.match(JSON.parse(result.stdout), { error: { code: 'CREDENTIALS_MISSING' } }, solver.join(' '))
    t.equal(world.ca.count('newOrder'), 0)
  }
})

t.test('nothing that anybody printed', async (t) => testOutput(t))
