import t from 'tap'
import { retryAfter } from '../src/retry-after.js'

const date = 'Tue, 01 Jan 2030 12:00:00 GMT'

t.test('how long an answer asks to wait', (t) => {
  const cases: readonly [value: string | undefined, wait: number | undefined][] = [
    [undefined, undefined],
    ['0', 0],
    ['1', 1000],
    [' 120 ', 120_000],
    ['Tue, 01 Jan 2030 12:00:30 GMT', 30_000],
    ['Tue, 01 Jan 2030 12:00:00 GMT', 0],
    ['Tue, 01 Jan 2030 11:00:00 GMT', 0],
    ['', undefined],
    ['soon', undefined],
    ['-5', undefined],
    ['1.5', undefined],
    ['1e3', undefined],
    ['99999999999', undefined],
    ['1, 2', undefined],
  ]
  for (const [value, wait] of cases) t.equal(retryAfter({ 'retry-after': value, date }), wait, String(value))
  t.end()
})

t.test("a date is reckoned from the answer's own", (t) => {
  const value = 'Tue, 01 Jan 2030 12:00:30 GMT'
  t.equal(retryAfter({ 'retry-after': value }), undefined, 'and is of no use without')
  t.equal(retryAfter({ 'retry-after': value, date: 'odd' }), undefined)
  t.equal(retryAfter({ 'retry-after': '30' }), 30_000, 'seconds need none')
  t.end()
})
