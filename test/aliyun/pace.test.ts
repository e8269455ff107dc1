import { setMaxListeners } from 'node:events'
import { setTimeout as sleep } from 'node:timers/promises'
import t from 'tap'
import { Pace } from '../../src/aliyun/pace.js'

const { signal } = new AbortController()
setMaxListeners(0, signal)

/** When each of so many calls that come at once had its turn, in ms since the first. */
const turns = async (pace: Pace, count: number): Promise<number[]> => {
  const start = performance.now()
  const at = await Promise.all(
    Array.from({ length: count }, async () => {
      await pace.turn(signal)
      return performance.now() - start
    }),
  )
  return at
}

/** The most that fell into any stretch of so many ms. */
const busiest = (at: readonly number[], length: number): number =>
  Math.max(...at.map((first) => at.filter((one) => one >= first && one < first + length).length))

t.test('a burst goes at once, the rest one after another', async (t) => {
  const at = await turns(new Pace(50, 5), 20)
  t.same(
    at,
    [...at].sort((a, b) => a - b),
    'in the order in which they came',
  )
  // Fifteen wait for a slot of 20 ms each: the last cannot have gone before all of them were over. A machine that is
  // slow only makes it later.
  t.ok((at[19] ?? 0) >= 15 * 20 - 2)
  t.ok(busiest(at, 100) <= 5 + 5 + 1)
})

t.test('nobody is let through twice as fast after a pause', async (t) => {
  const pace = new Pace(50, 3)
  await turns(pace, 3)
  await sleep(300)
  const at = await turns(pace, 9)
  t.ok((at[8] ?? 0) >= 6 * 20 - 2, 'what was not used is lost but for the burst')
})

t.test('a process that was held up does not catch up', async (t) => {
  const pace = new Pace(50, 2)
  const waiting = turns(pace, 22)
  await sleep(50)
  // Timers that come due meanwhile all fire at once when this is over.
  const end = performance.now() + 250
  while (performance.now() < end);
  const at = await waiting
  t.ok(busiest(at, 100) <= 2 + 5 + 1, `at most the burst and what 100 ms allow: ${at.map(Math.round).join(' ')}`)
})

t.test('whoever gives up is told so, and takes away no turn', async (t) => {
  const pace = new Pace(20, 1)
  await pace.turn(signal)
  const stop = new AbortController()
  setMaxListeners(0, stop.signal)
  const given = Array.from({ length: 100 }, () => pace.turn(stop.signal))
  const last = pace.turn(signal)
  stop.abort()
  const ended = await Promise.allSettled(given)
  t.ok(ended.every((one) => one.status === 'rejected' && one.reason.code === 'INTERRUPTED'))
  // A hundred turns of 50 ms would be five seconds.
  const limit = sleep(3000, 'too late', { ref: false })
  t.equal(await Promise.race([last.then(() => 'in time'), limit]), 'in time')
  await t.rejects(pace.turn(stop.signal), { code: 'INTERRUPTED' }, 'and whoever comes after it is over')
})
