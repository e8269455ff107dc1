// How a place's HTTPS is changed, saved and put back, at a place that is a map: what real ones do is told elsewhere.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { CertError } from '../../src/errors.js'
import { type ChangeOptions, changeHttps, type HttpsVerb, type PlaceReport } from '../../src/https/change-https.js'
import type { HttpsAim, HttpsChange, HttpsParts, HttpsPlace } from '../../src/https/https-place.js'
import { lastChange, openChange } from '../../src/https/saved-https.js'
import { httpsRecords, readHttpsRecord, relaxedPlaces } from '../../src/state/https-record.js'
import { withLock } from '../../src/state/lock.js'
import { StateFolder } from '../../src/state/state-folder.js'
import { noFacts } from './no-facts.js'

const wish = {
  tls: ['1.2', '1.3'],
  redirect: 301,
  hsts: undefined,
  http2: false,
  gzip: false,
  brotli: false,
} as const

const wanted: Readonly<Record<Exclude<HttpsAim['verb'], 'restore'>, HttpsParts>> = {
  enforce: { tls: 'strict', policy: 'deny' },
  relax: { policy: null },
  disable: { policy: null, 'certificate www.example.com': null },
}

interface FakePlace extends HttpsPlace {
  readonly parts: Record<string, string | null>
  /** Changes that fail, by their part. */
  readonly broken: Set<string>
  readonly unread: Record<string, CertError>
  readonly gone: { value: boolean }
}

const fakePlace = (parts: HttpsParts): FakePlace => {
  const own: Record<string, string | null> = { ...parts }
  const broken = new Set<string>()
  const unread: Record<string, CertError> = {}
  const gone = { value: false }
  return {
    kind: 'oss',
    identity: 'https oss://my-site at https://cloud.example',
    name: 'bucket my-site',
    settings: { bucket: 'my-site' },
    parts: own,
    broken,
    unread,
    gone,
    hosts: async () => [],
    hazards: async () => [],
    certificatesIn: (all) => Object.keys(all).filter((part) => part.startsWith('certificate ') && all[part] !== null),
    read: async (_signal, scope) => {
      if (gone.value) throw new CertError('CLOUD_REFUSED', 'it is gone', { vendor: { code: 'NoSuchBucket' } })
      const { policy = null, ...rest } = own
      return { parts: scope === undefined ? { policy, ...rest } : { policy }, unread: { ...unread }, facts: noFacts }
    },
    plan: (aim, { parts: before }) => {
      const after = aim.verb === 'restore' ? aim.parts : wanted[aim.verb]
      const changes = Object.entries(after)
        .filter(([part, value]) => before[part] !== value)
        .map(
          ([part, value]): HttpsChange => ({
            part,
            does: `set ${part}`,
            before: before[part] ?? null,
            after: value,
            run: async () => {
              if (broken.has(part)) throw new CertError('CLOUD_UNAVAILABLE', `${part} is down`, { passing: true })
              own[part] = value
            },
          }),
        )
      return { changes, warnings: [] }
    },
  }
}

interface Trial {
  readonly state: StateFolder
  readonly place: FakePlace
  change(verb: HttpsVerb, options?: Partial<ChangeOptions>): Promise<PlaceReport>
  /** Puts back the change that was made last. */
  undo(overwrites?: boolean, options?: Partial<ChangeOptions>): Promise<PlaceReport>
}

const original = { tls: null, policy: '{"Statement": []}', 'certificate www.example.com': '12-cn-hangzhou' }

const newTrial = async (t: Test, parts: HttpsParts = original): Promise<Trial> => {
  const folder = mkdtempSync(join(tmpdir(), 'acme-oss-https-'))
  t.teardown(() => rmSync(folder, { recursive: true, force: true }))
  const state = await StateFolder.open(folder)
  const place = fakePlace(parts)
  let second = 0
  const now = () => new Date(Date.UTC(2026, 0, 1, 0, 0, second++))
  const { signal } = new AbortController()
  const recordOf = async () => [await readHttpsRecord(state, place.identity).catch(() => undefined)]
  const change: Trial['change'] = async (verb, options) => {
    // As the command does it: what was not carried through is gone on with.
    const begun = verb.verb === 'restore' || options?.change ? undefined : openChange(await recordOf(), verb.verb)
    const name = begun ?? now().toISOString()
    return await changeHttps(place, verb, { state, change: name, dryRun: false, patience: 50, now, signal, ...options })
  }
  const undo: Trial['undo'] = async (overwrites = false, options = {}) => {
    const last = lastChange([await readHttpsRecord(state, place.identity)])
    return await change({ verb: 'restore', change: last ?? 'none', overwrites }, options)
  }
  return { state, place, change, undo }
}

const enforce = { verb: 'enforce', wish } as const
const relax = { verb: 'relax' } as const

const isRelaxed = async ({ state }: Trial): Promise<boolean> => relaxedPlaces(await httpsRecords(state)).length === 1

t.test('enforce, relax, and each put back in turn', async (t) => {
  const trial = await newTrial(t)
  const { place, change, undo } = trial
  t.match(await change(enforce), { status: 'changed', error: undefined })
  const enforced = { ...original, tls: 'strict', policy: 'deny' }
  t.same(place.parts, enforced)
  t.match(await change(relax), { status: 'changed' })
  t.same(place.parts, { ...enforced, policy: null })
  t.equal(await isRelaxed(trial), true)

  t.match(await undo(), { status: 'changed' })
  t.same(place.parts, enforced)
  t.equal(await isRelaxed(trial), false)
  t.match(await undo(), { status: 'changed' })
  t.same(place.parts, original)
  t.match(await undo(), { status: 'unchanged', changes: [] }, 'nothing is saved any more')
})

t.test('what is as it is to be is not saved, nor reminded of', async (t) => {
  const trial = await newTrial(t, { ...original, policy: null })
  t.match(await trial.change(relax), { status: 'unchanged', changes: [] })
  t.same((await httpsRecords(trial.state)).records, [])
  trial.place.parts['policy'] = 'deny'
  await trial.change(relax)
  t.equal(await isRelaxed(trial), true)
  t.match(await trial.change(relax), { status: 'unchanged' })
  t.equal(await isRelaxed(trial), true, 'a second relax forgets nothing')
  t.match(await trial.change(enforce), { status: 'changed' })
  t.equal(await isRelaxed(trial), false)
})

t.test('a dry run shows before and after, and leaves nothing', async (t) => {
  const trial = await newTrial(t)
  const report = await trial.change(enforce, { dryRun: true })
  t.equal(report.status, 'planned')
  t.same(
    report.changes.map(({ part, before, after, status }) => [part, before, after, status]),
    [
      ['tls', null, 'strict', 'planned'],
      ['policy', original.policy, 'deny', 'planned'],
    ],
  )
  t.same(trial.place.parts, original)
  t.same((await httpsRecords(trial.state)).records, [])
})

t.test('one that failed halfway begins anew, and goes back to where it began', async (t) => {
  const trial = await newTrial(t)
  const { place, change, undo, state } = trial
  place.broken.add('policy')
  const report = await change(enforce)
  t.match(report, { status: 'failed', error: { code: 'CLOUD_UNAVAILABLE' } })
  t.same(
    report.changes.map(({ part, status }) => [part, status]),
    [
      ['tls', 'changed'],
      ['policy', 'failed'],
    ],
  )
  place.broken.clear()
  t.match(await change(enforce), { status: 'changed' })
  t.equal((await readHttpsRecord(state, place.identity))?.saved.length, 1)
  t.match(await undo(), { status: 'changed' })
  t.same(place.parts, original)

  place.broken.add('policy')
  await change(enforce)
  t.match(await undo(), { status: 'changed' }, 'one that was never finished can be put back as well')
  t.same(place.parts, original)
})

t.test('what somebody else has changed since is not overwritten unasked', async (t) => {
  const { place, change, undo } = await newTrial(t)
  await change(enforce)
  place.parts['policy'] = 'deny and more'
  place.parts['other'] = 'theirs'
  t.match(await undo(), {
    status: 'failed',
    error: { code: 'HTTPS_CHANGED_SINCE', message: /policy of bucket/ },
  })
  t.match(await undo(true), { status: 'changed' })
  t.same(place.parts, { ...original, other: 'theirs' }, 'what was not ours stays')
})

t.test('a certificate that came since stays', async (t) => {
  const { place, change, undo } = await newTrial(t)
  await change({ verb: 'disable' })
  t.equal(place.parts['certificate www.example.com'], null)
  place.parts['certificate www.example.com'] = '13-cn-hangzhou'
  t.match(await undo(), { status: 'changed' })
  t.same(place.parts, { ...original, 'certificate www.example.com': '13-cn-hangzhou' })
})

t.test('without a state folder only an emergency changes anything', async (t) => {
  const { place, change } = await newTrial(t, { ...original, policy: 'deny' })
  const state = new CertError('STATE_UNUSABLE', 'the state folder cannot be used: /x: EROFS')
  t.match(await change(enforce, { state }), { status: 'failed', error: { code: 'STATE_UNUSABLE' } })
  t.equal(place.parts['tls'], null)
  const report = await change(relax, { state })
  t.equal(report.status, 'changed')
  t.match(report.warnings, [/EROFS: what stood at bucket my-site is not saved/])
})

t.test('a damaged record is said, and not gone by', async (t) => {
  const { place, change, state } = await newTrial(t)
  await change(enforce)
  await state.write(['https', place.identity, 'record.json'], '{}')
  t.match(await change({ verb: 'restore', change: 'x', overwrites: false }), {
    status: 'failed',
    error: { code: 'STATE_UNUSABLE', message: /is damaged: .*record\.json/ },
  })
  t.same((await httpsRecords(state)).damaged, [state.path('https', place.identity, 'record.json')])
})

t.test('of many changes the first and those that came last are kept, twenty in all', async (t) => {
  const { place, change, state } = await newTrial(t)
  for (let i = 0; i < 15; i++) {
    await change(enforce)
    await change(relax)
  }
  const saved = (await readHttpsRecord(state, place.identity))?.saved ?? []
  t.equal(saved.length, 20)
  t.same(saved[0]?.before, original)
})

t.test('a change is put back once, whoever asks for it twice', async (t) => {
  const { place, change, state } = await newTrial(t)
  await change(enforce)
  await change(relax)
  const last = lastChange([await readHttpsRecord(state, place.identity)]) ?? ''
  const restore = { verb: 'restore', change: last, overwrites: false } as const
  const both = await Promise.all([change(restore), change(restore)])
  t.same(both.map(({ status }) => status).sort(), ['changed', 'unchanged'])
  t.match(await change(restore), { status: 'unchanged' }, 'and a third time')
  t.same(place.parts, { ...original, tls: 'strict', policy: 'deny' }, 'enforced still')
})

t.test('an emergency waits for no disk, no lock and nothing that cannot be read', async (t) => {
  const relaxes = async (trial: Trial, warning: RegExp): Promise<void> => {
    trial.place.parts['policy'] = 'deny'
    const { status, warnings, error } = await trial.change(relax)
    t.same([status, error, trial.place.parts['policy']], ['changed', undefined, null])
    t.match(warnings, [warning])
  }
  const damaged = await newTrial(t)
  await damaged.state.write(['https', damaged.place.identity, 'record.json'], '{}')
  await relaxes(damaged, /record\.json: what stood at bucket my-site is not saved/)
  t.equal(await damaged.state.read(['https', damaged.place.identity, 'record.json']), '{}', 'and is left as it is')

  const full = await newTrial(t)
  writeFileSync(join(full.state.root, 'https'), 'a file in the way')
  await relaxes(full, /what stood at bucket my-site is not saved/)

  const locked = await newTrial(t)
  writeFileSync(join(locked.state.root, 'locks'), 'a file in the way')
  await relaxes(locked, /that was not waited for/)

  const busy = await newTrial(t)
  const lock = `https ${busy.place.identity}`
  await withLock(busy.state, lock, { signal: new AbortController().signal }, () => relaxes(busy, /not waited for/))
  t.equal(await isRelaxed(busy), true, 'saved all the same')
})

t.test('what may not be read is not taken for changed', async (t) => {
  const { place, change, undo } = await newTrial(t)
  await change(enforce)
  place.unread['policy'] = new CertError('CLOUD_REFUSED', 'reading the policy is not permitted')
  t.match(await undo(), { status: 'failed', error: { code: 'CLOUD_REFUSED' } })
  delete place.unread['policy']
  place.parts['policy'] = 'deny and more'
  const dry = await undo(false, { dryRun: true })
  t.match(dry, { status: 'planned', warnings: [/somebody has changed policy .* only --force puts it back/] })
  t.same(dry.changes.map(({ part }) => part).sort(), ['policy', 'tls'])
})

t.test('a place that is no more is not reminded of for ever', async (t) => {
  const trial = await newTrial(t, { ...original, policy: 'deny' })
  await trial.change(relax)
  trial.place.gone.value = true
  t.match(await trial.undo(), { status: 'unchanged', warnings: [/no bucket my-site any more: what was saved/] })
  t.equal(await isRelaxed(trial), false)
})

t.test('begun anew, it keeps its name; and an emergency that came in between is not forgotten', async (t) => {
  const { place, change, undo, state } = await newTrial(t)
  await change(enforce, { change: '1' })
  place.broken.add('policy')
  t.match(await change(relax, { change: '2' }), { status: 'failed' })
  place.broken.clear()
  const records = [await readHttpsRecord(state, place.identity)]
  t.equal(openChange(records, 'relax'), '2')
  t.equal(openChange(records, 'enforce'), undefined)
  t.match(await change(relax, { change: '2' }), { status: 'changed' })
  t.same(
    (await readHttpsRecord(state, place.identity))?.saved.map((one) => one.change),
    ['1', '2'],
  )
  t.match(await undo(), { status: 'changed' })
  t.equal(place.parts['policy'], 'deny')

  const other = await newTrial(t)
  const held = other.place.read
  let isRelaxed = false
  // In its last look, while it is at work, an emergency that does not wait for the lock.
  const slow = async (...asked: Parameters<typeof held>) => {
    const seen = await held(...asked)
    if (seen.parts['policy'] === 'deny' && asked[1] === undefined && !isRelaxed) {
      isRelaxed = true
      t.match(await other.change(relax, { change: '8' }), { status: 'changed' })
    }
    return seen
  }
  const { signal } = new AbortController()
  const options = { state: other.state, change: '7', dryRun: false, patience: 50, now: () => new Date(), signal }
  await changeHttps({ ...other.place, read: slow }, enforce, options)
  const record = await readHttpsRecord(other.state, other.place.identity)
  t.same(
    record?.saved.map((one) => [one.change, one.left !== undefined]),
    [
      ['7', true],
      ['8', true],
    ],
  )
  t.type(record?.relaxedSince, 'string')
})

t.test("what means the same is nobody else's change", async (t) => {
  const { place, change, state } = await newTrial(t)
  await change(enforce, { change: '1' })
  place.parts['tls'] = 'off'
  const restore = { verb: 'restore', change: '1', overwrites: false } as const
  t.match(await change(restore), { error: { code: 'HTTPS_CHANGED_SINCE' } })
  const { signal } = new AbortController()
  const options = { state, change: '2', dryRun: false, patience: 50, now: () => new Date(), signal }
  const alike = { ...place, isAlike: (part: string) => part === 'tls' }
  t.match(await changeHttps(alike, restore, options), { status: 'changed', error: undefined })
})

t.test('what could not be looked at afterwards is said', async (t) => {
  const { place, change } = await newTrial(t)
  const { signal } = new AbortController()
  const state = new CertError('STATE_UNUSABLE', 'no state')
  let looks = 0
  const read: typeof place.read = async (...asked) => {
    if (looks++ > 0) throw new CertError('CLOUD_UNAVAILABLE', 'the cloud is down', { passing: true })
    return await place.read(...asked)
  }
  await change(enforce)
  const options = { state, change: '9', dryRun: false, patience: 50, now: () => new Date(), signal }
  const report = await changeHttps({ ...place, read }, relax, options)
  t.match(report, { status: 'changed', state: undefined })
  t.match(report.warnings, [/is not saved/, /bucket my-site now could not be looked at: the cloud is down/])
})
