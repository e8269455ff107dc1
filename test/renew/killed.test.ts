// `kill -9`, and Ctrl-C, at every request of an issuance: the next run has a certificate in place, for one order more at
// most and for none once the CA was told to issue, and nothing of the killed run is left anywhere.
import { type ChildProcess, spawnSync } from 'node:child_process'
import { createHash, createPrivateKey, X509Certificate } from 'node:crypto'
import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { basename, join } from 'node:path'
import t, { type Test } from 'tap'
import { temporaryBeside } from '../../src/durable-file.js'
import { OrderLedger } from '../../src/state/order-ledger.js'
import { StateFolder } from '../../src/state/state-folder.js'
import { testOutput } from '../issue-command.js'
import type { RunOptions, RunResult } from '../run-command.js'
import { type HookOptions, type Kind, problem } from '../stub-ca.js'
import { at, openRenewWorld, type RenewResult, type RenewWorld } from './renew-world.js'

t.jobs = 3
/** A new one each time: tap keeps things of its own in it. */
const together = () => ({ buffered: true })

const name = 'a.example.com'

interface Place extends RenewWorld {
  readonly words: readonly string[]
}

const open = async (t: Test): Promise<Place> => {
  const world = await openRenewWorld(t)
  mkdirSync(world.path('web'))
  world.ca.manners.renewalInfo = 'the last third'
  // So that there is something to look at, and to be killed at.
  world.ca.manners.processingLooks = 1
  return { ...world, words: [...at(world.ca, world.path('web'), name), '--directory', world.path('out')] }
}

/** Where a run is stopped. */
interface Instant {
  readonly kind: Kind
  /** Of that kind. */
  readonly nth?: number
  readonly when: NonNullable<HookOptions['when']>
}

const inWords = ({ kind, nth = 1, when }: Instant): string =>
  `${kind}${nth === 1 ? '' : ` ${nth}`}${when === 'before' ? '' : ', carried out'}`

const stopped = async (
  { ca }: RenewWorld,
  signal: 'SIGKILL' | 'SIGINT',
  { kind, nth = 1, when }: Instant,
  run: (options: RunOptions) => Promise<RunResult>,
): Promise<RunResult> => {
  let child: ChildProcess | undefined
  ca.onRequest(
    nth,
    () => {
      child?.kill(signal)
      return 'hang'
    },
    { kind, when },
  )
  const onStart = (started: ChildProcess) => {
    child = started
  }
  return await run({ onStart })
}

const filesBelow = (folder: string): string[] =>
  readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => entry.name)

/** One certificate, the last that was issued, is deployed and kept, and nothing else is anywhere. */
const provesWhole = (t: Test, world: RenewWorld): void => {
  const read = (file: string) => readFileSync(world.path('out', 'latest', file), 'utf8')
  const leaf = new X509Certificate(read('cert.pem'))
  t.ok(leaf.checkPrivateKey(createPrivateKey(read('privkey.pem'))), 'the key is its key')
  t.equal(read('cert.pem') + read('chain.pem'), read('fullchain.pem'))
  t.ok(world.ca.certificates.at(-1)?.der.equals(leaf.raw), 'it is the last one that was issued')
  const record = JSON.parse(readFileSync(world.path('state', 'certificates', name, 'certificate.json'), 'utf8'))
  t.equal(record.current.id, createHash('sha256').update(leaf.raw).digest('hex').slice(0, 12), 'it is on record')
  t.same(world.begun(name), [], 'no order, and no key of one, is left')
  t.same(filesBelow(world.path('web')), [], 'no answer is left')
}

/** In the order in which they come; what only looks is the same before and after, and leaves no trace. */
const instants: readonly Instant[] = [
  { kind: 'newOrder', when: 'before' },
  { kind: 'newOrder', when: 'after' },
  { kind: 'authorization', when: 'before' },
  { kind: 'challenge', when: 'before' },
  { kind: 'challenge', when: 'after' },
  { kind: 'finalize', when: 'before' },
  { kind: 'finalize', when: 'after' },
  { kind: 'order', nth: 2, when: 'before' },
  { kind: 'certificate', when: 'before' },
]

const isIssued = ({ kind, nth, when }: Instant): boolean =>
  kind === 'certificate' || nth === 2 || (kind === 'finalize' && when === 'after')

/** How many orders more it takes: only the answer to the order itself is lost with the process. */
const more = ({ kind, when }: Instant): number => (kind === 'newOrder' && when === 'after' ? 1 : 0)

/** What is different where there is nothing yet; the rest is killed below. */
const first: readonly Instant[] = [
  { kind: 'directory', when: 'before' },
  { kind: 'newAccount', when: 'before' },
  { kind: 'newAccount', when: 'after' },
  { kind: 'newOrder', when: 'after' },
  { kind: 'challenge', when: 'after' },
  { kind: 'finalize', when: 'before' },
  { kind: 'finalize', when: 'after' },
  { kind: 'certificate', when: 'before' },
]

for (const [i, instant] of first.entries()) {
  t.test(`the first one, killed at ${inWords(instant)}`, together(), async (t) => {
    const world = await open(t)
    const { ca } = world
    t.equal(
      (await stopped(world, 'SIGKILL', instant, (options) => world.issue(world.words, options))).signal,
      'SIGKILL',
    )
    t.equal(ca.certificates.length, isIssued(instant) ? 1 : 0)
    // The timer's, or whoever gave the command gives it again.
    const again = i % 2 === 1 ? await world.renew() : await world.issue(world.words)
    t.equal(again.code, 0, again.stderr)
    provesWhole(t, world)
    t.equal(ca.orders.length, 1 + more(instant))
    t.equal(ca.certificates.length, 1)
    t.equal(ca.accounts.length, 1)
  })
}

/** Each on the heels of the one before, at one CA: what is issued is always due. */
for (const share of [0, 1, 2]) {
  t.test(`renewals, killed one after another, part ${share}`, together(), async (t) => {
    const world = await open(t)
    const { ca } = world
    ca.manners.lifetime = { days: 90, used: 0.9 }
    t.equal((await world.issue(world.words)).code, 0)
    for (const instant of instants.filter((_, i) => i % 3 === share)) {
      await t.test(`at ${inWords(instant)}`, async (t) => {
        const before = { orders: ca.orders.length, certificates: ca.certificates.length }
        const inUse = ca.certificates.at(-1)?.certId
        t.equal((await stopped(world, 'SIGKILL', instant, (options) => world.renew([], options))).signal, 'SIGKILL')
        const { code, stderr, json } = await world.renew()
        t.equal(code, 0, stderr)
        t.equal(json.results.length, 1)
        provesWhole(t, world)
        t.equal(ca.orders.length - before.orders, 1 + more(instant))
        t.equal(ca.certificates.length - before.certificates, 1)
        t.equal(ca.orders[before.orders]?.replaces, inUse, 'the CA was told what is replaced')
      })
    }
  })
}

t.test('renewals, interrupted one after another', together(), async (t) => {
  const world = await open(t)
  const { ca } = world
  ca.manners.lifetime = { days: 90, used: 0.9 }
  t.equal((await world.issue(world.words)).code, 0)
  const places: readonly Instant[] = [
    { kind: 'newOrder', when: 'after' },
    { kind: 'challenge', when: 'before' },
    { kind: 'finalize', when: 'after' },
    { kind: 'certificate', when: 'before' },
  ]
  for (const instant of places) {
    await t.test(`at ${inWords(instant)}`, async (t) => {
      const before = { orders: ca.orders.length, certificates: ca.certificates.length }
      const run = await stopped(world, 'SIGINT', instant, (options) => world.renew([], options))
      t.equal(run.signal, null, 'it ends by itself')
      t.match((run as RenewResult).json.results, [{ error: { code: 'INTERRUPTED' } }])
      t.same(filesBelow(world.path('web')), [], 'what it had put there is gone at once')
      t.same(begunChallenges(world), instant.kind === 'newOrder' ? [] : [0], 'and is not looked for again')
      t.equal(world.begun(name).length, instant.kind === 'newOrder' ? 0 : 2, 'a key only where there is an order')
      t.equal((await world.renew()).code, 0)
      provesWhole(t, world)
      t.equal(ca.orders.length - before.orders, 1 + more(instant))
      t.equal(ca.certificates.length - before.certificates, 1)
    })
  }
})

/** Of each order in progress, how many answers may still be there. */
const begunChallenges = (world: RenewWorld): number[] =>
  world
    .begun(name)
    .filter((file) => file.endsWith('.json'))
    .map((file) => JSON.parse(readFileSync(world.path('state', 'certificates', name, 'orders', file), 'utf8')))
    .map(({ challenges }) => challenges.length)

t.test('what was left is found, wherever the answers go meanwhile', together(), async (t) => {
  const world = await open(t)
  const { ca } = world
  const to = (web: string) => {
    mkdirSync(world.path(web), { recursive: true })
    return [...at(ca, world.path(web), name), '--directory', world.path('out')]
  }
  const kill = (web: string) =>
    stopped(world, 'SIGKILL', { kind: 'challenge', when: 'before' }, (options) => world.issue(to(web), options))
  await kill('web')
  t.equal(filesBelow(world.path('web')).length, 1)
  await kill('second')
  t.same(filesBelow(world.path('web')), [])
  t.equal(filesBelow(world.path('second')).length, 1)
  // As a process leaves it that is killed while it writes a key.
  const orders = world.path('state', 'certificates', name, 'orders')
  const half = basename(temporaryBeside(orders)).replace(`-${process.pid}-`, `-${spawnSync('true').pid}-`)
  writeFileSync(join(orders, half), 'half a key')
  t.equal((await world.issue(to('third'))).code, 0)
  t.same(filesBelow(world.path('second')), [])
  t.same(filesBelow(world.path('third')), [])
  provesWhole(t, world)
  t.equal(ca.orders.length, 1)
})

t.test('an order for something else is not gone on with', together(), async (t) => {
  const world = await open(t)
  const { ca } = world
  ca.manners.lifetime = { days: 90, used: 0.1 }
  t.equal((await world.issue(world.words)).code, 0)
  const inUse = world.deployed('out')
  const wider = [...world.words, '-d', 'b.example.com', '--name', name]
  await stopped(world, 'SIGKILL', { kind: 'challenge', when: 'before' }, (options) => world.issue(wider, options))
  t.equal(ca.orders.length, 2)
  t.not(filesBelow(world.path('web')).length, 0)
  const { code, json } = await world.renew()
  t.equal(code, 0)
  t.match(json.results, [{ due: false }])
  t.equal(ca.orders.length, 2, 'nothing is due, so nothing is ordered')
  t.equal(world.deployed('out'), inUse)
  t.same(filesBelow(world.path('web')), [], 'but what was left is taken away')
  t.equal((await world.issue(wider)).code, 0, 'and whoever wanted it has it')
  t.equal(ca.orders.length, 2)
  provesWhole(t, world)
})

t.test('what was issued and not yet written down as wanted is deployed', together(), async (t) => {
  const world = await open(t)
  const { ca } = world
  ca.manners.lifetime = { days: 90, used: 0.9 }
  t.equal((await world.issue(world.words)).code, 0)
  ca.manners.lifetime = { days: 90, used: 0.1 }
  const run = await world.renew([], { nodeOptions: [killBeforeWriting('/deployments/')] })
  t.equal(run.signal, 'SIGKILL')
  t.equal(ca.certificates.length, 2)
  t.ok(world.deployed('out').includes(ca.certificates[0]?.pem ?? 'nothing'), 'the old one is there')
  t.equal((await world.renew()).code, 0)
  provesWhole(t, world)
  t.equal(ca.orders.length, 2)
  t.match((await world.renew()).json.results, [{ due: false }])
})

/** A preload for Node: the process kills itself before it puts a file into a folder whose path holds that. */
const killBeforeWriting = (path: string): string =>
  `--import=data:text/javascript,${encodeURIComponent(`
    import promises from 'node:fs/promises'
    import { syncBuiltinESMExports } from 'node:module'
    const real = promises.rename
    promises.rename = (from, to) => {
      if (String(to).includes('${path}')) process.kill(process.pid, 'SIGKILL')
      return real(from, to)
    }
    syncBuiltinESMExports()`)}`

t.test('an order that the CA has forgotten is replaced within the budget', together(), async (t) => {
  const world = await open(t)
  const { ca } = world
  await stopped(world, 'SIGKILL', { kind: 'finalize', when: 'before' }, (options) => world.issue(world.words, options))
  ca.forgetOrders()
  const ledger = new OrderLedger(StateFolder.at(world.state), ca.directoryUrl, [name], () => new Date())
  for (let i = 0; i < 12; i++) await ledger.placing()
  t.match((await world.renew()).json.results, [{ error: { code: 'ORDER_BUDGET_SPENT' } }])
  t.equal(ca.orders.length, 1)
  t.same(world.begun(name), [])
  rmSync(ledger.path)
  t.equal((await world.renew()).code, 0, 'and is not forgotten by us')
  t.equal(ca.orders.length, 2)
  provesWhole(t, world)
})

t.test('what the CA refuses to order leaves nothing', together(), async (t) => {
  const world = await open(t)
  world.ca.fail('newOrder', problem(403, 'rejectedIdentifier', 'not this one'))
  t.equal((await world.issue(world.words)).code, 1)
  t.same(world.begun(name), [], 'no key')
  const { code, json } = await world.renew()
  t.equal(code, 0)
  t.same(json.results, [], 'and is not tried again unasked')
})

t.test('nothing was given away by any of this', async (t) => testOutput(t))
