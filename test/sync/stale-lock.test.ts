// Locks that nobody will ever give back: whoever calls the hook must not wait for them.
import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, utimesSync, writeFileSync } from 'node:fs'
import { hostname } from 'node:os'
import { dirname } from 'node:path'
import t, { type Test } from 'tap'
import { mintMaterial, openWorld, proveSilence, provesLayout, until, type World } from '../deploy-world.js'
import {
  callHook,
  callWaiting,
  cloudDown,
  ends,
  holdLock,
  pendingOf,
  provesSettled,
  recordFile,
  statusOf,
  sync,
} from './hook-call.js'

t.jobs = 2
/** A new one each time: tap keeps things of its own in it. */
const together = () => ({ buffered: true })

const material = await mintMaterial()

const lockFile = (world: World): string => `${world.state}/locks/example.com.lock`

/** As a process leaves it that ends without a word; `age` in ms since its last heartbeat. */
const leave = (world: World, content: string, age = 0): void => {
  mkdirSync(dirname(lockFile(world)), { recursive: true })
  writeFileSync(lockFile(world), content)
  const then = (Date.now() - age) / 1000
  utimesSync(lockFile(world), then, then)
}

const owner = (more: object): string => JSON.stringify({ token: 'x', host: hostname(), pid: process.pid, ...more })

const deadPid = (): number => spawnSync(process.execPath, ['-e', '0']).pid

/** A process of this machine that has nothing to do with us. */
const stranger = (t: Test): ChildProcess => {
  const child = spawn('sleep', ['120'], { stdio: 'ignore' })
  t.teardown(() => child.kill('SIGKILL'))
  return child
}

const hour = 3_600_000

const stale: Readonly<Record<string, (t: Test) => readonly [content: string, age?: number]>> = {
  'a dead process': () => [owner({ pid: deadPid() })],
  'a process of another host, without a heartbeat for an hour': () => [owner({ host: 'another-host' }), hour],
  'a process of another machine of the same name': () => [owner({ machine: 'another pid:[1]' }), hour],
  'a process whose id another one has by now': (t) => [owner({ pid: stranger(t).pid, began: '1' })],
  'one that was killed before it wrote its name': () => ['', hour],
  'one that is cut off': () => ['{"token":"x","host":', hour],
  'one that says nothing of use': () => ['null', hour],
}

for (const [what, make] of Object.entries(stale)) {
  t.test(what, together(), async (t) => {
    const world = await openWorld(t)
    leave(world, ...make(t))
    ends(t, await callHook(world, material), 0)
    provesLayout(t, world.objects, material)
    await provesSettled(t, world, material)
  })
}

t.test('sync and forget go past them as well', together(), async (t) => {
  const world = await openWorld(t)
  const down = cloudDown(world)
  ends(t, await callHook(world, material), 1)
  down.remove()
  leave(world, owner({ pid: deadPid() }))
  t.equal((await statusOf(t, world)).ok, false, 'status asks for no lock at all')
  ends(t, await sync(world), 0)
  provesLayout(t, world.objects, material)
  leave(world, owner({ pid: deadPid() }))
  ends(t, await world.run(['forget', 'example.com']), 0)
  await provesSettled(t, world, material)
})

t.test('one whose taking over was cut short', together(), async (t) => {
  const world = await openWorld(t)
  leave(world, owner({ pid: deadPid() }))
  const guard = `${lockFile(world)}.takeover`
  writeFileSync(guard, owner({ pid: deadPid() }))
  utimesSync(guard, 1, 1)
  ends(t, await callHook(world, material), 0)
  provesLayout(t, world.objects, material)
  await provesSettled(t, world, material)
})

t.test('one of a process that is alive is waited for', together(), async (t) => {
  const world = await openWorld(t)
  const lock = holdLock(t, world)
  const { waits, run } = callWaiting(world, material)
  await waits
  t.equal(world.emulator.requests.length, 0, 'nothing is sent meanwhile')
  t.match(pendingOf(await statusOf(t, world)), [{ step: 'archive' }, { step: 'latest' }], 'but it is written down')
  lock.release()
  const ended = await run
  ends(t, ended, 0)
  t.match(ended.stderr, `waiting for process ${lock.pid} on ${hostname()}`)
  provesLayout(t, world.objects, material)
  await provesSettled(t, world, material)
})

t.test('killed while it waits', together(), async (t) => {
  const world = await openWorld(t)
  const lock = holdLock(t, world)
  const run = await callHook(world, material, {
    onStart: (child) =>
      void until('the record', () => existsSync(recordFile(world, material)))
        .catch((error: unknown) => t.fail(String(error)))
        .finally(() => child.kill('SIGKILL')),
  })
  t.equal(run.signal, 'SIGKILL')
  lock.release()
  ends(t, await sync(world), 0)
  provesLayout(t, world.objects, material)
  await provesSettled(t, world, material)
})

await proveSilence(t)
