// Killed before any change of the state folder, a rollback or the deployment that ends one leads to one of two ends, once
// `sync` went over it: it never began, or all of it is done, hold and all.
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import type { CertificateBundle } from '../../src/certificate/bundle.js'
import { normalize } from '../../src/certificate/normalize.js'
import { HttpConnections } from '../../src/http-connections.js'
import { type DeployOptions, deploy } from '../../src/pipeline/deploy.js'
import { holdOn, whatIsKnown } from '../../src/pipeline/rollback.js'
import { syncName } from '../../src/pipeline/sync.js'
import { Secret } from '../../src/secret.js'
import { pendingOf } from '../../src/state/deployment-record.js'
import { readDeployments } from '../../src/state/deployments.js'
import { readHold } from '../../src/state/hold.js'
import { StateFolder } from '../../src/state/state-folder.js'
import { createTarget } from '../../src/targets/index.js'
import { daysFromNow, mintMaterial } from '../deploy-world.js'

const bundleOf = async (begins: number): Promise<CertificateBundle> => {
  const material = await mintMaterial({ notBefore: daysFromNow(begins), notAfter: daysFromNow(begins + 80) })
  const { fullchain, key } = material
  return normalize({ name: 'x', certificates: fullchain, privateKey: Secret.material(key) }, new Date()).bundle
}
const [good, bad, next] = await Promise.all([bundleOf(-30), bundleOf(-20), bundleOf(-10)])
const now = () => new Date()
const connections = new HttpConnections()
t.teardown(() => connections.close())
const context = { connections, credentials: () => Promise.reject(new Error('none')), timeout: 1000, now }

/** The bad one came to one folder, and is still to come to another. */
const openTrouble = async (t: Test) => {
  const folder = mkdtempSync(join(tmpdir(), 'acme-oss-killed-'))
  t.teardown(() => rmSync(folder, { recursive: true }))
  const root = join(folder, 'state')
  const to = (settings: object = {}) =>
    ['a', 'b'].map((name) => createTarget('directory', { path: join(folder, name), ...settings }, context))
  const run = (bundle: CertificateBundle, more: Partial<DeployOptions> = {}) =>
    StateFolder.open(root).then((state) =>
      deploy({ bundle, targets: to(), state, now, signal: new AbortController().signal, observer: {}, ...more }),
    )
  await run(good)
  rmSync(join(folder, 'b'), { recursive: true })
  writeFileSync(join(folder, 'b'), 'in the way')
  await run(bad)
  rmSync(join(folder, 'b'))
  const sync = async (): Promise<string[]> => {
    const state = await StateFolder.open(root)
    const { error, certificates } = await syncName('x', {
      state,
      now,
      signal: new AbortController().signal,
      all: true,
      create: (kind, settings) => createTarget(kind, settings, context),
      resolve: async () => [],
      observer: () => ({}),
      onWait: () => undefined,
    })
    t.same([error, ...certificates.map((one) => one.error)].filter(Boolean), [])
    return certificates.flatMap(({ warnings }) => warnings)
  }
  const latest = () => ['a', 'b'].map((name) => readFileSync(join(folder, name, 'latest', 'cert.pem'), 'utf8'))
  const rolledBack = async (state: StateFolder) => ({
    targets: to({ 'allow-older': true }),
    state,
    hold: holdOn(
      state,
      good,
      await whatIsKnown(state, 'x', (await readDeployments(state, 'x')).records),
      [bad.fingerprint.sha256],
      now,
    ),
  })
  return { root, run, sync, latest, rolledBack }
}

type Trouble = Awaited<ReturnType<typeof openTrouble>>

/** As if the process ended before the n-th change: nothing that comes after it is done. */
const endBefore = async (root: string, nth: number) => {
  const state = await StateFolder.open(root)
  const ending = new AbortController()
  let count = 0
  for (const change of ['write', 'remove'] as const) {
    const real = state[change].bind(state) as (...words: unknown[]) => Promise<void>
    state[change] = async (parts: readonly string[], ...words: unknown[]) => {
      if (parts[0] === 'deployments' && ++count >= nth) {
        ending.abort()
        throw new Error('killed')
      }
      await real(parts, ...words)
    }
  }
  return { state, signal: ending.signal }
}

const endedEverywhere = async (
  t: Test,
  prepare: (world: Trouble) => Promise<unknown>,
  run: (world: Trouble, killed: { state: StateFolder; signal: AbortSignal }) => Promise<unknown>,
  recovers: (t: Test, world: Trouble) => Promise<boolean>,
  between: (world: Trouble) => Promise<unknown> = async () => undefined,
): Promise<void> => {
  const ends: boolean[] = []
  for (let nth = 1, wasEnded = true; wasEnded && nth < 60; nth++) {
    const world = await openTrouble(t)
    await prepare(world)
    const killed = await endBefore(world.root, nth)
    await run(world, killed).catch((error: Error) => t.equal(error.message, 'killed'))
    wasEnded = killed.signal.aborted
    await t.test(`before change ${nth}`, async (t) => {
      await between(world)
      await world.sync()
      ends.push(await recovers(t, world))
      const { records } = await readDeployments(await StateFolder.open(world.root), 'x')
      t.same(records.flatMap(pendingOf), [], 'nothing is left to do')
      t.same(
        records.filter(({ hold, endsHold }) => hold !== undefined || endsHold !== undefined),
        [],
      )
    })
  }
  t.equal(ends[0], false, 'killed before the first, it never began')
  t.equal(ends.at(-1), true)
  t.same(ends.toSorted(), ends, 'from one change on, all of it is done')
  t.ok(ends.length > 5, `${ends.length} changes`)
}

t.test('a rollback', (t) =>
  endedEverywhere(
    t,
    async () => undefined,
    async (world, killed) => world.run(good, { ...(await world.rolledBack(killed.state)), signal: killed.signal }),
    async (t, world) => {
      const hold = await readHold(await StateFolder.open(world.root), 'x')
      const there = hold === undefined ? bad : good
      t.same(world.latest(), [there.leaf, there.leaf])
      if (hold === undefined) return false
      t.match(hold, { sha256: good.fingerprint.sha256, away: [bad.fingerprint.sha256] })
      const { stages } = await world.run(bad)
      t.same(stages, [], 'and a hook does not bring the bad one back')
      return true
    },
    // A hook may well be quicker than the timer.
    (world) => world.run(bad),
  ),
)

t.test('what ends a hold', (t) =>
  endedEverywhere(
    t,
    async (world) => world.run(good, await world.rolledBack(await StateFolder.open(world.root))),
    (world, { state, signal }) => world.run(next, { state, signal }),
    async (t, world) => {
      const hold = await readHold(await StateFolder.open(world.root), 'x')
      const there = hold === undefined ? next : good
      t.same(world.latest(), [there.leaf, there.leaf])
      return hold === undefined
    },
  ),
)

t.test('whoever asks for the very one that was rolled back from', async (t) => {
  let isWanted = false
  let times = 0
  await endedEverywhere(
    t,
    async (world) => world.run(good, await world.rolledBack(await StateFolder.open(world.root))),
    (world, { state, signal }) => world.run(bad, { state, signal, hold: 'end' }),
    async (t, world) => {
      const hold = await readHold(await StateFolder.open(world.root), 'x')
      const there = hold === undefined ? bad : good
      t.same(world.latest(), [there.leaf, there.leaf])
      if (isWanted) t.equal(hold, undefined, 'what is on record is done')
      return hold === undefined
    },
    async ({ root }) => {
      const state = await StateFolder.open(root)
      const { records } = await readDeployments(state, 'x')
      isWanted = records.some((one) => one.fingerprint.sha256 === bad.fingerprint.sha256 && pendingOf(one).length > 0)
      if (isWanted && (await readHold(state, 'x')) !== undefined) times++
    },
  )
  t.ok(times > 0, 'killed before the hold was ended')
})

t.test('what cannot be recorded is not held either', async (t) => {
  const world = await openTrouble(t)
  const state = await StateFolder.open(world.root)
  const real = state.write.bind(state)
  state.write = async (parts, ...words) => {
    // A disk that is full.
    if (parts.at(-1) === 'record.json') throw Object.assign(await StateFolder.open('/dev/null/x').catch((e) => e), {})
    await real(parts, ...words)
  }
  const { warnings } = await world.run(good, await world.rolledBack(state))
  t.match(warnings, [/nothing was recorded/])
  t.same(world.latest(), [good.leaf, good.leaf])
  t.equal(await readHold(state, 'x'), undefined)
})

t.test('where the hold is damaged, sync goes on, and says so', async (t) => {
  const world = await openTrouble(t)
  writeFileSync(join(world.root, 'deployments', 'x', 'hold.json'), '{')
  t.match(await world.sync(), [/hold\.json is damaged/])
  t.same(world.latest(), [bad.leaf, bad.leaf])
})
