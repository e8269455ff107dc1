// `kill -9` before every single change of a file: the state folder is never in a state from which `sync` does not go
// on, and never keeps a key that nothing needs.
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import t, { type Test } from 'tap'
import {
  fileNames,
  type Material,
  mintMaterial,
  openWorld,
  proveSilence,
  provesFiles,
  provesLayout,
  type World,
} from '../deploy-world.js'
import {
  callHook,
  clockAhead,
  cloudDown,
  ends,
  keysIn,
  killBefore,
  latestWritten,
  mintSeries,
  provesArchivedOnce,
  provesLatest,
  provesUnblocked,
  recordFile,
  sync,
} from './hook-call.js'

t.jobs = 2
/** A new one each time: tap keeps things of its own in it. */
const together = () => ({ buffered: true })

const material = await mintMaterial()
/** What comes before and after a kill is another process than the one that is killed; none has to be started for it. */
const here = { here: true }

/** Runs it once for every change it makes, killed there; ends when it makes no more. */
const killedEverywhere = async (
  t: Test,
  about: {
    readonly prepare?: (t: Test, world: World) => Promise<void>
    readonly run: (
      world: World,
      nodeOptions: readonly string[],
    ) => Promise<{ signal: string | null; code: number | null }>
    readonly recovers: (t: Test, world: World) => Promise<void>
  },
): Promise<void> => {
  let nth = 0
  for (let wasKilled = true; wasKilled; ) {
    nth++
    await t.test(`before change ${nth}`, async (t) => {
      const world = await openWorld(t)
      await about.prepare?.(t, world)
      const ended = await about.run(world, [killBefore(nth)])
      wasKilled = ended.signal === 'SIGKILL'
      if (!wasKilled) t.equal(ended.code, 0)
      await about.recovers(t, world)
    })
    if (nth > 100) throw new Error('it changes more than it can')
  }
  t.ok(nth > 10, `${nth - 1} changes`)
}

t.test('the hook', together(), (t) =>
  killedEverywhere(t, {
    run: (world, nodeOptions) => callHook(world, material, { words: ['--directory', world.path('tls')], nodeOptions }),
    recovers: async (t, world) => {
      const isRecorded = existsSync(recordFile(world, material))
      ends(t, await sync(world, ['--now'], here), 0)
      if (!isRecorded) {
        await provesTidiedLater(t, world)
        ends(t, await callHook(world, material, { ...here, words: ['--directory', world.path('tls')] }), 0)
      }
      for (const folder of ['latest', material.archive]) {
        provesFiles(t, material, (file) => readFileSync(world.path('tls', folder, file)))
      }
      t.same(readdirSync(world.path('tls', material.archive)).sort(), [...fileNames].sort(), 'and nothing beside them')
      await provesUnblocked(t, world, material)
    },
  }),
)

t.test('sync', together(), (t) =>
  killedEverywhere(t, {
    prepare: async (t, world) => {
      const down = cloudDown(world)
      ends(t, await callHook(world, material, here), 1)
      down.remove()
    },
    run: (world, nodeOptions) => sync(world, ['--now'], { nodeOptions }),
    recovers: async (t, world) => {
      ends(t, await sync(world, ['--now'], here), 0)
      provesLayout(t, world.objects, material)
      provesArchivedOnce(t, world, material)
      await provesUnblocked(t, world, material)
    },
  }),
)

t.test('a hook with a newer certificate, while an older one is pending', together(), async (t) => {
  const [older, newer] = (await mintSeries(2)) as [Material, Material]
  await killedEverywhere(t, {
    prepare: async (t, world) => {
      const down = cloudDown(world)
      ends(t, await callHook(world, older, here), 1)
      down.remove()
    },
    run: (world, nodeOptions) => callHook(world, newer, { nodeOptions }),
    recovers: async (t, world) => {
      const isRecorded = existsSync(recordFile(world, newer))
      ends(t, await sync(world, ['--now'], here), 0)
      if (!isRecorded) {
        provesLatest(t, world, older)
        ends(t, await callHook(world, newer, here), 0)
      }
      provesLatest(t, world, newer)
      provesArchivedOnce(t, world, newer)
      t.same(latestWritten(world, [older, newer]).slice(-1), [newer.archive])
      await provesUnblocked(t, world, older, newer)
    },
  })
})

/**
 * The key of a certificate that was never written down goes with the first `sync` that can tell that nobody is about to
 * do so any more.
 */
const provesTidiedLater = async (t: Test, world: World): Promise<void> => {
  ends(t, await sync(world, [], { nodeOptions: [clockAhead(3_600_000)] }), 0)
  t.same(keysIn(world.state), [], 'no private key is left of what was never written down')
}

await proveSilence(t)
