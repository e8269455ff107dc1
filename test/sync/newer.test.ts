// A newer certificate arrives while an older one is still to be deployed: from then on the older is never put anywhere
// that the newer one is wanted, whatever may be read there, and however the two fail.
import { readFileSync } from 'node:fs'
import t, { type Test } from 'tap'
import {
  deploymentsIn,
  type Material,
  openWorld,
  prefix,
  proveSilence,
  provesFiles,
  putOnly,
  type World,
  type WorldOptions,
} from '../deploy-world.js'
import {
  callHook,
  cloudDown,
  ends,
  latestWritten,
  mintSeries,
  pendingOf,
  provesArchivedOnce,
  provesLatest,
  provesSettled,
  resultsOf,
  statusOf,
  sync,
} from './hook-call.js'

t.jobs = 2
/** A new one each time: tap keeps things of its own in it. */
const together = () => ({ buffered: true })

const [oldest, older, newer] = (await mintSeries(3)) as [Material, Material, Material]
const all = [oldest, older, newer]

const keptKeys = (world: World): string[] =>
  deploymentsIn(world.state)
    .filter(({ privateKey }) => privateKey !== undefined)
    .map(({ record }) => record.archive)

/** Nothing of the older one is pending, shown or kept. */
const provesSuperseded = async (t: Test, world: World): Promise<void> => {
  const status = await statusOf(t, world)
  t.same(
    status.results.map(({ certificate }) => certificate?.archive),
    [newer.archive],
    'status shows the newer one alone',
  )
  t.notOk(keptKeys(world).includes(older.archive), 'the key of the older one is not kept')
}

const permissions: Readonly<Record<string, WorldOptions>> = {
  'with a key that may read': {},
  'with a key that may only put objects': { allow: putOnly },
}

for (const [what, options] of Object.entries(permissions)) {
  t.test(`${what}: the newer one goes through`, together(), async (t) => {
    const world = await openWorld(t, { ...options, here: true })
    const down = cloudDown(world)
    ends(t, await callHook(world, older), 1)
    down.remove()
    ends(t, await callHook(world, newer), 0)
    await provesSuperseded(t, world)
    ends(t, await sync(world), 0)
    provesLatest(t, world, newer)
    t.same(latestWritten(world, all), [newer.archive])
    await provesSettled(t, world, ...all)
  })

  t.test(`${what}: the newer one fails as well`, together(), async (t) => {
    const world = await openWorld(t, { ...options, here: true })
    const down = cloudDown(world)
    for (const material of all) ends(t, await callHook(world, material), 1)
    await provesSuperseded(t, world)
    t.same(keptKeys(world), [newer.archive])
    ends(t, await sync(world), 1)
    down.remove()
    ends(t, await sync(world), 0)
    provesLatest(t, world, newer)
    provesArchivedOnce(t, world, newer)
    t.same(latestWritten(world, all), [newer.archive], 'no older one was ever there')
    await provesSettled(t, world, ...all)
  })

  t.test(`${what}: the older one comes after it`, together(), async (t) => {
    const world = await openWorld(t, { ...options, here: true })
    const down = cloudDown(world)
    ends(t, await callHook(world, newer), 1)
    ends(t, await callHook(world, older), 1)
    down.remove()
    ends(t, await sync(world), 0)
    provesLatest(t, world, newer)
    t.same(latestWritten(world, all), [newer.archive])
    await provesSettled(t, world, ...all)
  })

  t.test(`${what}: the older one is half in latest/`, together(), async (t) => {
    const world = await openWorld(t, { ...options, here: true })
    const rule = world.emulator.fail(
      { key: `${prefix}latest/README.md` },
      { status: 503, code: 'ServiceUnavailable', headers: { 'Retry-After': '3600' } },
    )
    ends(t, await callHook(world, older), 1)
    rule.remove()
    const down = cloudDown(world)
    ends(t, await callHook(world, newer), 1)
    down.remove()
    const from = world.emulator.requests.length
    ends(t, await sync(world), 0)
    provesLatest(t, world, newer)
    t.same(latestWritten(world, all, from), [newer.archive])
    await provesSettled(t, world, ...all)
  })
}

// Where reading is not permitted, a hook that is called with an older one writes it: see deploy.test.ts.
t.test('a hook with an older one, after the newer is in place', together(), async (t) => {
  const world = await openWorld(t)
  ends(t, await callHook(world, newer), 0)
  ends(t, await callHook(world, older), 0)
  provesLatest(t, world, newer)
  t.same(latestWritten(world, all), [newer.archive])
  await provesSettled(t, world, ...all)
})

t.test('the older one is still done where the newer is not wanted', together(), async (t) => {
  const world = await openWorld(t)
  const down = cloudDown(world)
  const tls = world.path('tls')
  ends(t, await callHook(world, older), 1)
  ends(t, await callHook(world, newer, { words: ['--directory', tls] }), 0)
  provesFiles(t, newer, (file) => readFileSync(`${tls}/latest/${file}`))
  const status = await statusOf(t, world)
  t.same(
    status.results.map(({ certificate, pending }) => [certificate?.archive, pending.length]),
    [
      [newer.archive, 0],
      [older.archive, 2],
    ],
  )
  down.remove()
  ends(t, await sync(world), 0)
  provesLatest(t, world, older)
  await provesSettled(t, world, ...all)
})

t.test('a newer one of which nobody knows where it is to go', together(), async (t) => {
  const world = await openWorld(t, { allow: putOnly })
  const down = cloudDown(world)
  const right = `certificates:
  example.com:
    deploy:
      - oss: { bucket: my-ssl-certs, region: cn-hangzhou, prefix: ${prefix}, endpoint: "${world.emulator.url}" }
`
  const config = world.file('acme-oss.yaml', right)
  const words = ['--config', config]
  ends(t, await callHook(world, older, { words }), 1)
  world.file('acme-oss.yaml', `${right}nonsense: [`)
  ends(t, await callHook(world, newer, { words }), 1)
  t.equal(pendingOf(await statusOf(t, world)).filter(({ target }) => target === null).length, 1)
  down.remove()
  world.file('acme-oss.yaml', right)
  const run = await sync(world, ['--now', '--json', ...words])
  ends(t, run, 0)
  t.same(pendingOf(resultsOf(run)), [])
  provesLatest(t, world, newer)
  t.same(latestWritten(world, all), [newer.archive], 'found out first, it takes the older one’s place')
  await provesSettled(t, world, ...all)
})

await proveSilence(t)
