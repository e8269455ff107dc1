// Many hooks at the same time, as a client that renews a whole machine may call them: none is lost, and none puts its
// certificate in the place of a newer one.
import t, { type Test } from 'tap'
import {
  deploymentsIn,
  type Material,
  mintMaterial,
  openWorld,
  proveSilence,
  provesLayout,
  putOnly,
  type World,
} from '../deploy-world.js'
import { seededRandom } from '../emulator/random.js'
import {
  callHook,
  callWaiting,
  cloudDown,
  ends,
  holdLock,
  latestWritten,
  mintSeries,
  provesArchivedOnce,
  provesLatest,
  provesSettled,
  sync,
  toPrefix,
} from './hook-call.js'

const many = 20
// Where it does not depend on how many they are.
const some = 8

const shuffled = <T>(all: readonly T[], seed: number): T[] => {
  const random = seededRandom(seed)
  return all
    .map((one) => ({ one, at: random() }))
    .sort((a, b) => a.at - b.at)
    .map(({ one }) => one)
}

const callAll = async (t: Test, world: World, materials: readonly Material[], code: number): Promise<void> => {
  const runs = await Promise.all(materials.map((material) => callHook(world, material)))
  for (const run of runs) ends(t, run, code)
}

t.test('the same certificate again and again', async (t) => {
  const world = await openWorld(t)
  const material = await mintMaterial()
  await callAll(t, world, Array<Material>(some).fill(material), 0)
  provesLayout(t, world.objects, material)
  provesArchivedOnce(t, world, material)
  t.same(latestWritten(world, [material]), [material.archive], 'the work is done once')
  await provesSettled(t, world, material)
})

t.test('twenty certificates of one name, each newer than the one before', async (t) => {
  const world = await openWorld(t)
  const series = await mintSeries(many)
  const newest = series.at(-1) as Material
  await callAll(t, world, shuffled(series, 5), 0)
  for (const material of series) provesArchivedOnce(t, world, material)
  provesLatest(t, world, newest)
  provesRising(t, world, series)
  t.equal(deploymentsIn(world.state).length, many)
  await provesSettled(t, world, ...series)
})

t.test('the same with the cloud down: the newest alone is left to do', async (t) => {
  const world = await openWorld(t)
  const down = cloudDown(world)
  const series = await mintSeries(some)
  const newest = series.at(-1) as Material
  await callAll(t, world, shuffled(series, 6), 1)
  t.same(
    deploymentsIn(world.state)
      .filter(({ privateKey }) => privateKey !== undefined)
      .map(({ record }) => record.archive),
    // One that came late and failed says itself that it is still wanted; the first `sync` takes that back.
    deploymentsIn(world.state)
      .filter(({ record }) => Object.values(record.targets).some(hasOpenSteps))
      .map(({ record }) => record.archive),
    'a key is kept just where something is open',
  )
  down.remove()
  ends(t, await sync(world), 0)
  provesLatest(t, world, newest)
  t.same(latestWritten(world, series), [newest.archive])
  await provesSettled(t, world, ...series)
})

// Where reading is permitted, what stands in latest/ would tell.
t.test('while they wait for each other, the newest wins, even with a key that may only put objects', async (t) => {
  const world = await openWorld(t, { allow: putOnly })
  const series = await mintSeries(6)
  const lock = holdLock(t, world)
  const hooks = shuffled(series, 7).map((material) => callWaiting(world, material))
  await Promise.all(hooks.map(({ waits }) => waits))
  t.equal(world.emulator.requests.length, 0)
  t.equal(deploymentsIn(world.state).length, series.length, 'whoever waits has written it down before')
  lock.release()
  for (const { run } of hooks) ends(t, await run, 0)
  provesRising(t, world, series)
  provesLatest(t, world, series.at(-1) as Material)
  await provesSettled(t, world, ...series)
})

t.test('several names', async (t) => {
  const world = await openWorld(t)
  const names = Array.from({ length: some }, (_, i) => `name-${i}.example.com`)
  const materials = await Promise.all(names.map((name) => mintMaterial({ names: [name] })))
  const hooks = names.map((name, i) => {
    return callHook(world, materials[i] as Material, { name, words: toPrefix(world, `${name}/`) })
  })
  for (const run of await Promise.all(hooks)) ends(t, run, 0)
  names.forEach((name, i) => {
    provesLayout(t, world.objects, materials[i] as Material, { under: `${name}/` })
  })
  t.same(
    deploymentsIn(world.state)
      .map(({ record }) => record.name)
      .sort(),
    [...names].sort(),
  )
  await provesSettled(t, world, ...materials)
})

t.test('several names with the cloud down, done by two timers at once', async (t) => {
  const world = await openWorld(t)
  const down = cloudDown(world)
  const names = Array.from({ length: some }, (_, i) => `name-${i}.example.com`)
  const materials = await Promise.all(names.map((name) => mintMaterial({ names: [name] })))
  const hooks = names.map((name, i) => {
    return callHook(world, materials[i] as Material, { name, words: toPrefix(world, `${name}/`) })
  })
  for (const run of await Promise.all(hooks)) ends(t, run, 1)
  down.remove()
  // Two timers at once: each finds what the other has left.
  for (const run of await Promise.all([sync(world), sync(world)])) ends(t, run, 0)
  names.forEach((name, i) => {
    provesLayout(t, world.objects, materials[i] as Material, { under: `${name}/` })
    t.equal(latestWritten(world, [materials[i] as Material]).filter((one) => one !== 'unknown').length, 1, 'once')
  })
  await provesSettled(t, world, ...materials)
})

const hasOpenSteps = ({ steps }: { readonly steps: Readonly<Record<string, { readonly status: string }>> }): boolean =>
  Object.values(steps).some(({ status }) => ['pending', 'failed'].includes(status))

/** What was put into `latest/` was never older than what stood there. */
const provesRising = (t: Test, world: World, series: readonly Material[]): void => {
  const written = latestWritten(world, series).map((archive) => series.findIndex((one) => one.archive === archive))
  t.same(
    written,
    [...written].sort((a, b) => a - b),
    'latest/ only ever went forward',
  )
}

await proveSilence(t)
