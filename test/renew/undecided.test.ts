// CAs that take their time, or have not everything at hand: what was ordered is not given up.
import { mkdirSync } from 'node:fs'
import t, { type Test } from 'tap'
import { testOutput } from '../issue-command.js'
import { problem, startStubCa } from '../stub-ca.js'
import { at, openRenewWorld, type RenewWorld } from './renew-world.js'

t.jobs = 2
const together = () => ({ buffered: true })

const name = 'a.example.com'

const open = async (t: Test): Promise<RenewWorld & { readonly words: readonly string[] }> => {
  const world = await openRenewWorld(t)
  mkdirSync(world.path('web'))
  return { ...world, words: [...at(world.ca, world.path('web'), name), '--directory', world.path('out')] }
}

const never = Number.POSITIVE_INFINITY
const aDay = 86_400

t.test('one that asks to be left alone for a day', together(), async (t) => {
  const world = await open(t)
  const { ca } = world
  ca.manners.processingLooks = never
  ca.manners.retryAfter = { finalize: aDay, order: aDay }
  const first = await world.issue(world.words)
  t.equal(first.code, 1)
  t.match(first.stderr, /the CA asks to wait for another 1440 minutes/)
  t.equal(ca.count('finalize'), 1)
  const looks = ca.count('order')
  const early = await world.renew()
  t.equal(early.code, 1)
  t.match(early.json.results, [{ error: { code: 'CA_UNAVAILABLE' } }])
  t.equal(ca.count('order') - looks, 1, 'a look, and no more')
  ca.manners.processingLooks = 0
  const late = await world.renew()
  t.equal(late.code, 0, late.stderr)
  t.equal(ca.orders.length, 1)
  t.equal(ca.count('finalize'), 1)
  t.match(late.json.results[0]?.stages, [{ status: 'changed' }])
  t.ok(world.deployed('out').includes(ca.certificates[0]?.pem ?? 'nothing'))
  t.same(world.begun(name), [])
})

t.test('one that says nothing, and is not waited for any longer', together(), async (t) => {
  const world = await open(t)
  const { ca } = world
  ca.manners.processingLooks = never
  const first = await world.issue([...world.words, '--ca-timeout', '1'])
  t.equal(first.code, 1)
  t.match(first.stderr, /the order is still processing after 1 seconds/)
  t.equal(world.begun(name).length, 2, 'the order and its key')
  ca.manners.processingLooks = 0
  t.equal((await world.renew()).code, 0)
  t.equal(ca.orders.length, 1)
  t.same(world.begun(name), [])
})

t.test('where a second one is asked instead', together(), async (t) => {
  const world = await open(t)
  const [slow, quick] = [world.ca, await startStubCa(t)]
  slow.manners.processingLooks = never
  slow.manners.retryAfter = { finalize: aDay, order: aDay }
  quick.manners.lifetime = { days: 90, used: 0.1 }
  t.equal((await world.issue([...world.words, '--ca', quick.directoryUrl])).code, 0)
  t.ok(world.deployed('out').includes(quick.certificates[0]?.pem ?? 'nothing'))
  t.same(world.begun(name), [], 'the first one is not waited for any longer')
  const { code, json } = await world.renew()
  t.equal(code, 0)
  t.match(json.results, [{ due: false }])
  t.same([slow.orders.length, quick.orders.length], [1, 1])
})

t.test('one that cannot hand out the chain that was asked for', together(), async (t) => {
  const world = await open(t)
  const { ca } = world
  ca.manners.alternateRoots = ['Gone', 'Other']
  ca.onRequest(2, () => problem(404, 'malformed', 'no such chain'), { kind: 'certificate' })
  const { code, stderr } = await world.issue([...world.words, '--preferred-chain', 'Other'])
  t.equal(code, 0)
  t.match(stderr, /a chain could not be had: .*no such chain/)
  t.ok(world.deployed('out').includes(ca.certificates[0]?.pem ?? 'nothing'))
  t.equal(ca.orders.length, 1)
  t.equal(ca.count('certificate'), 3, 'and the one after it is had')
})

t.test('nothing was given away by any of this', async (t) => testOutput(t))
