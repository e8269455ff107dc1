// A certificate that runs out before it was in place is given up: it would be of no use any more, and neither would
// its key.
import t from 'tap'
import {
  daysFromNow,
  deploymentsIn,
  mintMaterial,
  openWorld,
  proveSilence,
  provesLayout,
  stepsIn,
} from '../deploy-world.js'
import {
  callHook,
  clockAhead,
  cloudDown,
  ends,
  pendingOf,
  provesNoKey,
  provesSettled,
  resultsOf,
  statusOf,
  sync,
} from './hook-call.js'

t.jobs = 2
/** A new one each time: tap keeps things of its own in it. */
const together = () => ({ buffered: true })

const hour = 3_600_000
const shortLived = await mintMaterial({ notAfter: new Date(Date.now() + hour) })
const later = { nodeOptions: [clockAhead(2 * hour)] }

for (const words of [[], ['--now']]) {
  t.test(['sync', ...words].join(' '), together(), async (t) => {
    const world = await openWorld(t)
    cloudDown(world)
    ends(t, await callHook(world, shortLived), 1)
    const asked = world.emulator.requests.length
    const run = await sync(world, words, later)
    ends(t, run, 0)
    t.match(run.stderr, `warning: example.com: the certificate ${shortLived.archive} expired before it was in place`)
    t.equal(world.emulator.requests.length, asked, 'it is not tried once more')
    t.equal(stepsIn(world.state), 'archive expired, latest expired')
    t.same(pendingOf(await statusOf(t, world)), [])
    provesNoKey(t, world, shortLived)
    const again = await sync(world, words, later)
    ends(t, again, 0)
    t.notMatch(again.stderr, /warning/, 'and said once')
  })
}

t.test('with --json', together(), async (t) => {
  const world = await openWorld(t)
  cloudDown(world)
  ends(t, await callHook(world, shortLived), 1)
  const run = await sync(world, ['--json'], later)
  ends(t, run, 0)
  t.match(resultsOf(run), {
    ok: true,
    results: [
      { name: 'example.com', stages: [], pending: [], warnings: [/expired before it was in place/], error: null },
    ],
  })
})

t.test('one of which nobody knew where it was to go', together(), async (t) => {
  const world = await openWorld(t)
  ends(t, await callHook(world, shortLived, { words: [] }), 1)
  const run = await sync(world, [], later)
  ends(t, run, 0)
  t.match(run.stderr, /expired before it was in place/)
  t.same(pendingOf(await statusOf(t, world)), [])
  provesNoKey(t, world, shortLived)
})

t.test('what is done is done', together(), async (t) => {
  const world = await openWorld(t)
  ends(t, await callHook(world, shortLived), 0)
  const run = await sync(world, [], later)
  ends(t, run, 0)
  t.notMatch(run.stderr, /warning/)
  t.equal(stepsIn(world.state), 'archive done, latest done')
  const status = await world.run(['status'], { ...later, terse: true })
  t.match(status.stdout, /\(expired\)/)
})

t.test('a newer one is deployed all the same', together(), async (t) => {
  const newer = await mintMaterial({ notBefore: daysFromNow(-0.01) })
  const world = await openWorld(t)
  const down = cloudDown(world)
  ends(t, await callHook(world, shortLived), 1)
  ends(t, await callHook(world, newer), 1)
  down.remove()
  t.equal(deploymentsIn(world.state).length, 2)
  ends(t, await sync(world), 0)
  provesLayout(t, world.objects, newer)
  await provesSettled(t, world, shortLived, newer)
})

await proveSilence(t)
