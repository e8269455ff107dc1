// `kill -9` at any moment of a deployment: around every request, at random points between, and before every change of
// a file. Whatever is left, `sync --now` makes exactly what an undisturbed run would have made.
import { existsSync } from 'node:fs'
import { setTimeout as pause } from 'node:timers/promises'
import t, { type Test } from 'tap'
import { mintMaterial, openWorld, proveSilence, provesLayout, until, type World } from '../deploy-world.js'
import type { Fault } from '../emulator/fault.js'
import { seededRandom } from '../emulator/random.js'
import {
  callHook,
  contentOf,
  ends,
  provesArchivedOnce,
  provesUnblocked,
  recordFile,
  statusOf,
  sync,
} from './hook-call.js'

t.jobs = 2
/** A new one each time: tap keeps things of its own in it. */
const together = () => ({ buffered: true })

const material = await mintMaterial()
/** What comes after a kill is another process than the one that was killed; none has to be started for it. */
const here = { here: true }

/** What an undisturbed run writes, and with how many requests. */
const clean = await openWorld(t)
ends(t, await callHook(clean, material), 0)
const expected = contentOf(clean)
const count = clean.emulator.requests.length

const provesRight = (t: Test, world: World): void => {
  provesLayout(t, world.objects, material)
  t.same(contentOf(world), expected, 'byte for byte what an undisturbed run writes')
  provesArchivedOnce(t, world, material)
}

/** What the timer and, where nothing had been written down yet, the client do after a kill. */
const recovers = async (t: Test, world: World): Promise<void> => {
  const isRecorded = existsSync(recordFile(world, material))
  ends(t, await sync(world, ['--now'], here), 0)
  if (!isRecorded) {
    t.same([...world.objects], [], 'nothing is sent before it is written down')
    ends(t, await callHook(world, material, here), 0)
  }
  provesRight(t, world)
  await provesUnblocked(t, world, material)
}

const killedOn = async (t: Test, world: World, nth: number, fault: Fault): Promise<void> => {
  const rule = world.emulator.fail({ nth }, fault)
  const run = await callHook(world, material, {
    onStart: (child) =>
      void until(`request ${nth}`, () => rule.hits > 0)
        .catch((error: unknown) => t.fail(String(error)))
        .finally(() => child.kill('SIGKILL')),
  })
  t.equal(run.signal, 'SIGKILL')
  rule.remove()
}

t.equal(count, 11, 'requests of a deployment')
for (let nth = 1; nth <= count; nth++) {
  t.test(`killed before request ${nth} is carried out`, together(), async (t) => {
    const world = await openWorld(t)
    await killedOn(t, world, nth, { hang: true })
    t.ok(existsSync(recordFile(world, material)), 'the record is there before the first request')
    t.equal((await statusOf(t, world)).ok, false)
    await recovers(t, world)
  })

  t.test(`killed when request ${nth} was carried out, before its answer`, together(), async (t) => {
    const world = await openWorld(t)
    await killedOn(t, world, nth, { reset: 'after' })
    await recovers(t, world)
  })
}

const random = seededRandom(3)
for (let i = 1; i <= 12; i++) {
  const after = Math.round(60 + random() * 400)
  t.test(`killed at a random moment, number ${i}`, together(), async (t) => {
    const world = await openWorld(t)
    // So that the requests are spread over the time as well.
    world.emulator.latency(15)
    await callHook(world, material, {
      onStart: (child) => void pause(after).then(() => child.kill('SIGKILL')),
    })
    world.emulator.latency(0)
    await recovers(t, world)
  })
}

t.test('sync itself killed again and again', together(), async (t) => {
  const world = await openWorld(t)
  await killedOn(t, world, 2, { hang: true })
  for (const nth of [1, 4, 6, 7, 9]) {
    const rule = world.emulator.fail({ nth }, { hang: true })
    const run = await sync(world, ['--now'], {
      onStart: (child) =>
        void until(`request ${nth} of sync`, () => rule.hits > 0)
          .catch((error: unknown) => t.fail(String(error)))
          .finally(() => child.kill('SIGKILL')),
    })
    t.equal(run.signal, 'SIGKILL')
    rule.remove()
  }
  await recovers(t, world)
})

await proveSilence(t)
