// What is told, and when: once for each change, again where it matters, and never for what mends itself.
import t, { type Test } from 'tap'
import { isTimeWithoutMemory } from '../../src/cli/alert-run.js'
import {
  type AlertMemory,
  isSameMemory,
  noMemory,
  readAlertMemory,
  writeAlertMemory,
} from '../../src/monitor/alert-memory.js'
import { plainText } from '../../src/monitor/alert-message.js'
import { type Alert, afterTelling, newsFor, seenSince, stageOf, type ToldAll } from '../../src/monitor/alerts.js'
import type { ConcernKind } from '../../src/monitor/concern.js'
import { StateFolder } from '../../src/state/state-folder.js'

const minute = 60_000
const hour = 60 * minute
const day = 24 * hour
const begin = Date.parse('2026-05-01T00:00:00Z')

const alert = (kind: ConcernKind, more: Partial<Alert> = {}): Alert => ({
  id: `${kind} a`,
  kind,
  name: 'a.example',
  place: undefined,
  sentence: `a.example is ${kind}`,
  hint: undefined,
  ...more,
})

/** Runs over time for one receiver: what each of them would say. */
const runs = (judges: (id: string) => boolean = () => true) => {
  let seen: ReadonlyMap<string, string> = new Map()
  let told: ToldAll = new Map()
  return (after: number, alerts: readonly Alert[], { fails = false, at = judges } = {}): string[] => {
    const now = new Date(begin + after)
    seen = seenSince(seen, alerts, at, now)
    const observation = { alerts, seen, judges: at, now }
    const news = newsFor(told, observation)
    if (!fails) told = afterTelling(told, news, observation)
    return [
      ...news.firing.map(({ id, isAgain }) => `${isAgain ? 'again' : 'new'} ${id}`),
      ...news.recovered.map(({ id }) => `over ${id}`),
    ]
  }
}

t.test('a step that fails once and then succeeds wakes nobody', async (t) => {
  const run = runs()
  t.same(run(0, [alert('pending')]), [])
  t.same(run(10 * minute, []), [], 'nor is its recovery worth a word')
  t.same(run(20 * minute, [alert('pending')]), [], 'that was another time')
  t.same(run(21 * minute, [alert('pending')]), [], 'another command, before it is tried again')
  t.same(run(30 * minute, [alert('pending')]), ['new pending a'], 'the timer tried it again')
})

t.test('all else at once, and each once', async (t) => {
  const kinds = ['unresolved', 'expiring', 'drift', 'not-served', 'renewal', 'revoked', 'damaged'] as const
  for (const kind of kinds) {
    const run = runs()
    t.same(run(0, [alert(kind)]), [`new ${kind} a`])
    for (const days of [0.01, 1, 2, 30]) t.same(run(days * day, [alert(kind)]), [], `${kind}, after ${days} days`)
    t.same(run(31 * day, []), [`over ${kind} a`])
    t.same(run(32 * day, []), [])
    t.same(run(33 * day, [alert(kind)]), [`new ${kind} a`], 'once more')
  }
})

t.test('once a day: what is open to everybody, and what has ended', async (t) => {
  for (const kind of ['relaxed', 'expired'] as const) {
    const run = runs()
    t.same(run(0, [alert(kind)]), [`new ${kind} a`])
    t.same(run(day - minute, [alert(kind)]), [])
    t.same(run(day, [alert(kind)]), [`again ${kind} a`])
    t.same(run(day + 10 * minute, [alert(kind)]), [])
    t.same(run(2 * day, [alert(kind)]), [`again ${kind} a`])
    t.same(run(2 * day + hour, []), [`over ${kind} a`])
  }
})

t.test('an end that comes nearer', async (t) => {
  t.same(
    [30, 14.01, 14, 7, 3.5, 3, 1.1, 1, 0.1].map((days) => stageOf(days * day)),
    [undefined, undefined, '14', '7', '7', '3', '3', '1', '1'],
  )
  const run = runs()
  const spoken = Array.from({ length: 30 }, (_, i) => {
    const left = (30 - i) * day
    const stage = stageOf(left)
    return run(i * day, [alert('expiring', stage === undefined ? {} : { stage })]).length > 0 ? 30 - i : 0
  })
  t.same(
    spoken.filter((left) => left > 0),
    [30, 14, 7, 3, 1],
  )
  t.same(run(30 * day, [alert('expired')]), ['new expired a'], 'nothing has been mended')
  t.same(run(30 * day + minute, []), ['over expired a'])
})

t.test('renewed before its end', async (t) => {
  const run = runs()
  run(0, [alert('expiring')])
  t.same(run(day, [alert('expired', { name: 'b.example', id: 'expired b' })]), ['new expired b', 'over expiring a'])
})

t.test('the same thing, of another kind', async (t) => {
  const run = runs()
  run(0, [alert('drift', { id: 'x' })])
  t.same(run(minute, [alert('not-served', { id: 'x' })]), ['new x'])
})

t.test('who could not be told is told the next time', async (t) => {
  const run = runs()
  t.same(run(0, [alert('drift')], { fails: true }), ['new drift a'])
  t.same(run(10 * minute, [alert('drift')], { fails: true }), ['new drift a'])
  t.same(run(20 * minute, [alert('drift')]), ['new drift a'])
  t.same(run(30 * minute, [], { fails: true }), ['over drift a'])
  t.same(run(40 * minute, []), ['over drift a'])
  run(50 * minute, [alert('revoked')], { fails: true })
  t.same(run(60 * minute, []), [], 'what was never told is not over')
})

t.test('what a run cannot judge stays as it is', async (t) => {
  const run = runs()
  const ofAnother = { at: (id: string) => id !== 'drift a' }
  run(0, [alert('drift'), alert('revoked'), alert('pending')])
  t.same(run(minute, [alert('damaged')], ofAnother), ['new damaged a', 'over revoked a'])
  t.same(run(2 * minute, [], { at: () => false }), [])
  t.same(run(3 * minute, [alert('drift')]), ['over damaged a'], 'it had not been forgotten')
})

t.test('a clock that was wrong', async (t) => {
  const run = runs()
  run(400 * day, [alert('pending'), alert('relaxed')])
  t.same(run(0, [alert('pending'), alert('relaxed')]), ['again relaxed a'])
  t.same(run(4 * minute, [alert('pending'), alert('relaxed')]), ['new pending a'])
})

t.test('where nothing can be remembered, the timer speaks four times less', async (t) => {
  const at = (minutes: number) => new Date(begin + minutes * minute)
  for (const minutes of [0, 14, 15, 59]) t.equal(isTimeWithoutMemory({}, at(minutes)), true)
  t.same(
    [0, 14, 15, 59].map((minutes) => isTimeWithoutMemory({ INVOCATION_ID: 'a' }, at(minutes))),
    [true, true, false, false],
  )
})

const memoryOf = (t: Test): { readonly state: StateFolder; readonly memory: AlertMemory } => {
  const told = { kind: 'drift', name: 'a', place: null, sentence: 's', stage: null } as const
  const at = (days: number) => ({ ...told, at: new Date(begin - days * day).toISOString() })
  return {
    state: StateFolder.at(t.testdir({})),
    memory: {
      seen: new Map([['__proto__', new Date(begin).toISOString()]]),
      told: new Map([
        ['present', new Map([['__proto__', at(400)]])],
        ['gone', new Map([['x', at(400)]])],
        ['away', new Map([['x', at(80)]])],
        ['empty', new Map()],
      ]),
    },
  }
}

t.test('what is remembered', async (t) => {
  const { state, memory } = memoryOf(t)
  t.same(await readAlertMemory(state), noMemory)
  await writeAlertMemory(state, memory, ['present'], new Date(begin))
  const read = await readAlertMemory(state)
  t.same([...read.told.keys()], ['present', 'away'], 'who is not asked for any more is forgotten in the end')
  t.same(read.told.get('present'), memory.told.get('present'), 'whatever it is called')
  t.same(read.seen, memory.seen)
  t.ok(isSameMemory(read, { ...read, told: new Map<string, ToldAll>([...read.told, ['new', new Map()]]) }))
  t.notOk(isSameMemory(read, memory))
  for (const text of ['', 'null', '{', '{"schema":2}', '{"schema":1,"seen":[],"told":{}}']) {
    await state.write(['alerts', 'told.json'], text)
    t.same(await readAlertMemory(state), noMemory, text)
  }
  await state.write(['alerts', 'told.json'], '{"schema":1,"seen":{"a":5},"told":{"k":{"x":{"at":"never"}},"l":3}}')
  t.same(await readAlertMemory(state), { seen: new Map(), told: new Map([['k', new Map()]]) })
})

t.test('the text of it', async (t) => {
  const at = new Date(begin)
  const firing = (count: number, sentence = (i: number) => `thing ${i} is wrong`) =>
    Array.from({ length: count }, (_, i) => ({ ...alert('drift', { sentence: sentence(i) }), isAgain: i === 1 }))
  const recovered = [
    { id: 'x', kind: 'drift', name: 'x', place: null, sentence: 'x was', stage: null, at: '' } as const,
  ]
  const message = { host: 'web1', at, isTest: false, firing: firing(2), recovered }
  t.equal(
    plainText(message, 2048),
    'acme-oss on web1: 2 to see to, 1 recovered\nfailing: thing 0 is wrong\nstill: thing 1 is wrong\nrecovered: x was',
  )
  const hint = { ...message, firing: [{ ...alert('drift', { sentence: 's', hint: 'do it' }), isAgain: false }] }
  t.match(plainText(hint, 2048), '\nfailing: s (what to do: do it)\n')
  const many = plainText({ ...message, firing: firing(30) }, 10_000).split('\n')
  t.equal(many.length, 22)
  t.equal(many.at(-1), 'and 11 more: acme-oss status shows them all')
  const long = plainText({ ...message, firing: firing(30, () => '证书'.repeat(500)) }, 2048)
  t.ok(Buffer.byteLength(long) <= 2048 && Buffer.byteLength(long) > 1000, 'as long as it may be')
  t.match(long, /\nand 30 more: [^\n]*$/)
  t.notMatch(long, '\ufffd')
  const hostile = 'a\nfailing: b\u2028\u202e @all <at user_id="all"></at> <!channel>'
  const shown = plainText({ ...message, firing: firing(1, () => hostile), recovered: [] }, 2048)
  t.equal(shown.split('\n').length, 2)
  t.notMatch(shown, /[@<>\u202e\u2028]/)
})
