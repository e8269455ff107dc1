import { setTimeout as sleep, setImmediate as turn } from 'node:timers/promises'
import t from 'tap'
import { NoncePool } from '../../src/issuer/nonce-pool.js'

/** A CA that answers when it is told to. */
class Ca {
  readonly #waiting: { readonly resolve: (nonce: string) => void; readonly reject: (error: Error) => void }[] = []
  asked = 0

  readonly fetch = (): Promise<string> => {
    this.asked++
    return new Promise((resolve, reject) => this.#waiting.push({ resolve, reject }))
  }

  /** Answers the oldest question. */
  async answer(nonce: string | Error): Promise<void> {
    const waiter = this.#waiting.shift()
    if (waiter === undefined) throw new Error('nobody asked')
    if (typeof nonce === 'string') waiter.resolve(nonce)
    else waiter.reject(nonce)
    await turn()
  }
}

const open = () => {
  const ca = new Ca()
  return { ca, pool: new NoncePool(ca.fetch) }
}

t.test('what an answer brings is used before the CA is asked', async (t) => {
  const { ca, pool } = open()
  pool.give('one')
  pool.give('two')
  t.same([await pool.take(), await pool.take()].sort(), ['one', 'two'])
  t.equal(ca.asked, 0)
})

t.test('each is given out once', async (t) => {
  const { ca, pool } = open()
  const taken = Array.from({ length: 8 }, () => pool.take())
  t.equal(ca.asked, 8)
  for (let i = 0; i < 8; i++) await ca.answer(`fetched ${i}`)
  for (let i = 0; i < 8; i++) pool.give(`given ${i}`)
  const all = await Promise.all([...taken, ...Array.from({ length: 8 }, () => pool.take())])
  t.equal(new Set(all).size, 16)
  t.equal(ca.asked, 8)
})

t.test('an answer on its way is as good as a fetch', async (t) => {
  const { ca, pool } = open()
  const [first, second] = [pool.take(), pool.take()]
  pool.give('from an answer')
  t.equal(await first, 'from an answer')
  await ca.answer('fetched')
  t.equal(await second, 'fetched')
  await ca.answer('one too many')
  t.equal(await pool.take(), 'one too many', 'which is kept')
  t.equal(ca.asked, 2)
})

t.test('a failing fetch fails one who waits, and no other', async (t) => {
  const { ca, pool } = open()
  const taken = [pool.take(), pool.take(), pool.take()]
  const settled = Promise.allSettled(taken)
  await ca.answer(new Error('the CA is busy'))
  await ca.answer('two')
  await ca.answer('three')
  t.match(await settled, [
    { status: 'rejected', reason: { message: 'the CA is busy' } },
    { status: 'fulfilled', value: 'two' },
    { status: 'fulfilled', value: 'three' },
  ])
  const again = pool.take()
  t.equal(ca.asked, 4, 'and the next is asked for')
  await ca.answer('four')
  t.equal(await again, 'four')
})

t.test('one fetched ahead fails nobody', async (t) => {
  const { ca, pool } = open()
  pool.prepare(2)
  await ca.answer(new Error('busy'))
  await ca.answer('good')
  t.equal(await pool.take(), 'good')
})

t.test('getting ready', async (t) => {
  const { ca, pool } = open()
  pool.give('there already')
  pool.prepare(4)
  t.equal(ca.asked, 3, 'what is there counts')
  pool.prepare(4)
  t.equal(ca.asked, 3, 'and what is on its way')
  pool.prepare(0)
  pool.prepare(-1)
  t.equal(ca.asked, 3)
  pool.prepare(100)
  t.equal(ca.asked, 10, 'ten at most')
  for (let i = 0; i < 10; i++) await ca.answer(`n${i}`)
  const taken = await Promise.all(Array.from({ length: 11 }, () => pool.take()))
  t.equal(new Set(taken).size, 11)
  t.equal(ca.asked, 10)
})

t.test('ten in a burst, then twenty a second', async (t) => {
  const begin = performance.now()
  const { ca, pool } = open()
  const taken = Promise.all(Array.from({ length: 40 }, () => pool.take()))
  t.equal(ca.asked, 10, 'at once')
  let answered = 0
  while (answered < 40) {
    const seconds = (performance.now() - begin) / 1000
    if (ca.asked > 11 + 20 * seconds) t.fail(`${ca.asked} after ${seconds} s`)
    while (answered < ca.asked) await ca.answer(`n${answered++}`)
    await sleep(5)
  }
  t.ok(performance.now() - begin >= 1400, 'thirty more take a second and a half')
  t.equal(new Set(await taken).size, 40)
  t.equal(ca.asked, 40)

  t.test('and nothing more goes out when nobody waits', async (t) => {
    await sleep(150)
    t.equal(ca.asked, 40)
  })
  pool.close()
})

t.test('who waits for a turn is served by an answer first', async (t) => {
  const { ca, pool } = open()
  const taken = Array.from({ length: 12 }, () => pool.take())
  for (let i = 0; i < 12; i++) pool.give(`given ${i}`)
  t.equal(new Set(await Promise.all(taken)).size, 12)
  await sleep(120)
  t.equal(ca.asked, 10, 'so that nothing more is asked for')
  pool.close()
})

t.test('a closed pool asks for nothing', async (t) => {
  const { ca, pool } = open()
  for (let i = 0; i < 20; i++) void pool.take()
  pool.close()
  await sleep(150)
  t.equal(ca.asked, 10)
})

t.test('what a CA has forgotten', async (t) => {
  let now = 1000
  t.intercept(performance, 'now', { value: () => now })
  const { ca, pool } = open()
  pool.give('stale')
  pool.give('stale, too')
  now += 4 * 60_000
  pool.give('fresh')
  now += 2 * 60_000
  t.equal(await pool.take(), 'fresh')
  const next = pool.take()
  t.equal(ca.asked, 1, 'six minutes are too long')
  await ca.answer('new')
  t.equal(await next, 'new')
})

t.test('no more are kept than anybody will need', async (t) => {
  const { ca, pool } = open()
  for (let i = 0; i < 1000; i++) pool.give(`n${i}`)
  const taken = await Promise.all(Array.from({ length: 64 }, () => pool.take()))
  t.equal(new Set(taken).size, 64)
  t.ok(taken.includes('n999'), 'the newest are')
  void pool.take()
  t.equal(ca.asked, 1)
})
