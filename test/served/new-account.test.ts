// An account of the new kind reaches its data through a bound domain alone: one run binds the domain first, waits until
// its certificate is served, and writes the layout through it.
import t, { type Test } from 'tap'
import {
  bucket,
  daysFromNow,
  mintMaterial,
  prefix,
  proveSilence,
  provesLayout,
  region,
  resultOf,
  stepError,
} from '../deploy-world.js'
import type { Edge } from '../emulator/edge/edge.js'
import { ends, pendingOf, provesSettled, resultsOf, statusOf, sync } from '../sync/hook-call.js'
import { changesIn, openLines, openServedWorld, recordLines, type ServedWorld, stageLines } from './served-world.js'

t.jobs = 2
/** A new one each time: tap keeps things of its own in it. */
const together = () => ({ buffered: true })

const domain = 'static.example.localhost'
const names = ['example.localhost', '*.example.localhost']
const material = await mintMaterial({ names })
const before = await mintMaterial({ names })
// Older to the second, whenever it is made.
const stranger = await mintMaterial({
  names: ['shop.example.net'],
  notBefore: daysFromNow(-60),
  notAfter: daysFromNow(30),
})

const layout = `oss ${bucket}/${prefix}`
const cname = `oss-cname ${bucket}/${domain}`

const open = async (t: Test, delayMs = 0, certificate?: typeof material): Promise<[ServedWorld, Edge]> => {
  const world = await openServedWorld(t, { bucket: { publicEndpointForbidden: true } })
  world.emulator.bindCname(domain, bucket, { certificate })
  return [world, await world.emulator.startEdge({ delayMs })]
}

const through = (world: ServedWorld, { port }: Edge): string[] => [
  ...['--bucket', bucket, '--region', region, '--prefix', prefix, '--cname-endpoint'],
  ...['--endpoint', `https://${domain}:${port}`, '--bucket-endpoint', world.emulator.url, '--oss-cname', domain],
]

/** The objects were put through the bound domain, over TLS, and after it was bound. */
const provesOrder = (t: Test, { emulator }: ServedWorld, { port }: Edge): void => {
  const done = emulator.requests.filter(({ answer }) => answer?.status === 200)
  const bound = done.findIndex(({ action }) => action === 'oss:PutCname')
  const first = done.findIndex(({ action }) => action === 'oss:PutObject')
  t.ok(bound >= 0 && first > bound, `bound (${bound}) before the first object (${first})`)
  const puts = done.filter(({ action }) => action === 'oss:PutObject')
  t.same(new Set(puts.map(({ host, secure }) => `${host} ${secure}`)), new Set([`${domain}:${port} true`]))
}

t.test('without a bound domain the error explains', together(), async (t) => {
  const [world] = await open(t)
  const run = await world.deploy(material, [...world.toBucket, '--json'])
  ends(t, run, 1)
  t.match(stepError(resultOf(run)), {
    code: 'CLOUD_REFUSED',
    vendor: { code: 'PublicEndpointForbidden' },
    hint: /only through a domain bound to the bucket: use --endpoint https:\/\/your\.domain --cname-endpoint/,
  })
  t.same([...world.objects], [])
})

t.test('the same place, tried again as the hint says', together(), async (t) => {
  const [world, edge] = await open(t, 0, before)
  const { emulator } = world
  ends(t, await world.deploy(material, world.toBucket), 1)
  t.same(openLines(pendingOf(await statusOf(t, world))), [`${layout}: archive CLOUD_REFUSED`, `${layout}: latest`])

  const run = await world.deploy(material, [...through(world, edge), '--json'])
  ends(t, run, 0)
  t.strictSame(stageLines(resultOf(run).stages), [
    `${layout} changed: archive changed, latest changed`,
    `${cname} changed: bind changed`,
  ])
  t.same(resultOf(run).pending, [], 'nothing is pending under the old endpoint')
  provesOrder(t, world, edge)
  provesLayout(t, world.objects, material)
  t.strictSame(
    recordLines(world)
      .map((line) => line.replace(`:${edge.port}`, ''))
      .sort(),
    [
      `oss oss://${bucket}/${prefix} at CLOUD: archive superseded, latest superseded`,
      `oss oss://${bucket}/${prefix} at https://${domain}: archive done, latest done`,
      `${cname} at CLOUD: bind done`,
    ],
  )
  await provesSettled(t, world, material)

  const from = emulator.requests.length
  ends(t, await sync(world), 0)
  t.same(emulator.requests.slice(from), [], 'sync has nothing to do')
  const again = await world.deploy(material, [...through(world, edge), '--json'])
  ends(t, again, 0)
  t.strictSame(stageLines(resultOf(again).stages), [
    `${layout} unchanged: archive unchanged, latest unchanged`,
    `${cname} unchanged: bind unchanged`,
  ])
  t.same(changesIn(emulator.requests.slice(from)), [], 'a second run changes nothing')
  ends(t, await world.run(['status', '--live', '--connect', `${domain}=127.0.0.1:${edge.port}`]), 0)
})

for (const [what, certificate] of [
  ['no certificate', undefined],
  ['the certificate of another site', stranger],
] as const) {
  t.test(`an edge that learns late, and shows ${what} until then`, together(), async (t) => {
    const [world, edge] = await open(t, 2000, certificate)
    const run = await world.deploy(material, [...through(world, edge), '--json'])
    ends(t, run, 0)
    t.equal(resultOf(run).pending.length, 0)
    t.match(
      run.stderr,
      /cannot be reached \(E[A-Z_]+\); trying again in \d+ ms/,
      'what TLS does not agree with is waited for',
    )
    provesOrder(t, world, edge)
    provesLayout(t, world.objects, material)
    await provesSettled(t, world, material)
  })

  t.test(`the same, and --verify-timeout is shorter: ${what}`, together(), async (t) => {
    const [world, edge] = await open(t, 60_000, certificate)
    const run = await world.deploy(material, [
      ...through(world, edge),
      '--json',
      '--verify-timeout',
      '1',
      '--timeout',
      '2',
    ])
    ends(t, run, 3)
    const result = resultOf(run)
    t.equal(stageLines(result.stages).at(-1), `${cname} changed: bind changed`)
    t.same(openLines(result.pending), [`${layout}: archive CLOUD_UNAVAILABLE`, `${layout}: latest`])
    t.ok(stepError(result).hint, 'and it says what to do')
    edge.serve(domain, material)
    const from = world.emulator.requests.length
    const done = await sync(world, ['--now', '--json'])
    ends(t, done, 0)
    t.same(openLines(pendingOf(resultsOf(done))), [])
    t.notOk(changesIn(world.emulator.requests.slice(from)).some((one) => one.startsWith('oss:PutCname')))
    provesLayout(t, world.objects, material)
    await provesSettled(t, world, material)
  })
}

t.test('auto binds the domain, too', together(), async (t) => {
  const [world, edge] = await open(t, 0, before)
  const words = through(world, edge).map((word, i, all) => (all[i - 1] === '--oss-cname' ? 'auto' : word))
  const run = await world.deploy(material, [...words, '--json'])
  ends(t, run, 0)
  t.strictSame(stageLines(resultOf(run).stages), [
    `${layout} changed: archive changed, latest changed`,
    `oss-cname ${bucket}/auto changed: find unchanged, bind ${domain} changed`,
  ])
  provesOrder(t, world, edge)
  await provesSettled(t, world, material)
})

t.test('with --verify the domain is proven, and strangers are refused', together(), async (t) => {
  const [world, edge] = await open(t, 1000)
  const look = ['--verify', '--verify-timeout', '30', '--connect', `${domain}=127.0.0.1:${edge.port}`]
  const run = await world.deploy(material, [...through(world, edge), ...look, '--json'])
  ends(t, run, 0)
  t.strictSame(stageLines(resultOf(run).stages), [
    `${layout} changed: archive changed, latest changed, private unchanged`,
    `${cname} changed: bind changed, served unchanged`,
  ])
  provesOrder(t, world, edge)
  await provesSettled(t, world, material)
})

t.test('a domain that cannot be bound keeps the layout from nothing', together(), async (t) => {
  const [world, edge] = await open(t, 0, before)
  world.emulator.fail({ action: 'oss:PutCname' }, { status: 403, code: 'AccessDenied' })
  const run = await world.deploy(material, [...through(world, edge), '--json'])
  ends(t, run, 3)
  t.strictSame(stageLines(resultOf(run).stages), [
    `${layout} changed: archive changed, latest changed`,
    `${cname} failed: bind failed`,
  ])
  provesLayout(t, world.objects, material)
})

await proveSilence(t)
