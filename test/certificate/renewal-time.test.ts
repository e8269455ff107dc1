import t from 'tap'
import { momentIn, nextLook, ownRenewalTime, renewalTime, spreadOf } from '../../src/certificate/renewal-time.js'

const day = 86_400_000
const begin = Date.parse('2026-11-22T00:00:00Z')
const lasting = (days: number) => ({ notBefore: new Date(begin), notAfter: new Date(begin + days * day) })
/** In days after the certificate began. */
const after = (time: Date): number => (time.getTime() - begin) / day

t.test('our own rule, in days from the beginning', async (t) => {
  const table: [what: string, lifetime: number, due: number][] = [
    ['a year: 30 days before the end', 365, 335],
    ["Let's Encrypt of today", 90, 60],
    ['of 2027', 64, 64 * (2 / 3)],
    ['of 2028, or tlsserver', 45, 30],
    ['ten days: two thirds', 10, 10 * (2 / 3)],
    ['shortlived, of 6 days and a bit: half', 6.67, 6.67 / 2],
    ['of one hour', 1 / 24, 1 / 48],
    ['over before it began', 0, 0],
  ]
  for (const [what, lifetime, due] of table) {
    t.equal(after(ownRenewalTime(lasting(lifetime), 0)).toFixed(6), due.toFixed(6), what)
    const earliest = due - (lifetime - due) / 12
    t.equal(after(ownRenewalTime(lasting(lifetime), 1)).toFixed(6), earliest.toFixed(6), `${what}, spread`)
  }
})

t.test('what the CA suggests is heeded where it is sooner', async (t) => {
  const at = (days: number) => new Date(begin + days * day)
  const table: [what: string, lifetime: number, suggested: Date | undefined, due: number][] = [
    ['nothing', 90, undefined, 60],
    ['a week before our own time', 90, at(53), 53],
    ['a week after it', 90, at(67), 60],
    ['long ago, for it is to be revoked', 90, at(-3), -3],
    ['just before the end of one of 6 days', 6, at(5.9), 3],
    ['on its second day', 6, at(1.5), 1.5],
  ]
  for (const [what, lifetime, suggested, due] of table) {
    t.equal(after(renewalTime(lasting(lifetime), 0, suggested)), due, what)
  }
})

t.test('a moment in the window', async (t) => {
  const window = { start: new Date(begin), end: new Date(begin + 2 * day) }
  t.equal(after(momentIn(window, 0)), 0)
  t.equal(after(momentIn(window, 0.25)), 0.5)
  t.ok(after(momentIn(window, 0.999)) < 2)
})

t.test('each certificate has a place of its own in the spread', async (t) => {
  t.equal(spreadOf('00000000ffff'), 0)
  t.equal(spreadOf('80000000'.padEnd(64, '0')), 0.5)
  t.ok(spreadOf('f'.repeat(64)) < 1)
})

t.test('when the CA is asked again', async (t) => {
  const now = new Date(begin)
  const seconds = (retryAfter: number | undefined) => (nextLook(now, retryAfter).getTime() - begin) / 1000
  t.equal(seconds(undefined), 6 * 3600, 'it did not say')
  t.equal(seconds(3_600_000), 3600, 'an hour')
  t.equal(seconds(0), 60, 'at once: not that often')
  t.equal(seconds(7 * day), 86_400, 'in a week: not that seldom')
})
