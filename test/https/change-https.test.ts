// How a place's HTTPS is changed, saved and put back, at a place that is a map: what real ones do is told elsewhere.
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { CertError } from '../../src/errors.js'
import { type ChangeOptions, changeHttps, type HttpsVerb } from '../../src/https/change-https.js'
import type { HttpsAim, HttpsChange, HttpsParts, HttpsPlace } from '../../src/https/https-place.js'
import { httpsRecords, readHttpsRecord, relaxedPlaces } from '../../src/state/https-record.js'
import { StateFolder } from '../../src/state/state-folder.js'

const wish = {
  tls: ['1.2', '1.3'],
  redirect: 301,
  hsts: undefined,
  http2: false,
  gzip: false,
  brotli: false,
} as const

const facts = {
  https: null,
  plainHttp: null,
  redirectCode: null,
  tls: null,
  hsts: null,
  http2: null,
  gzip: null,
  brotli: null,
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
}

const fakePlace = (parts: HttpsParts): FakePlace => {
  const own: Record<string, string | null> = { ...parts }
  const broken = new Set<string>()
  return {
    kind: 'oss',
    identity: 'https oss://my-site at https://cloud.example',
    name: 'bucket my-site',
    settings: { bucket: 'my-site' },
    parts: own,
    broken,
    hosts: async () => [],
    hazards: async () => [],
    certificatesIn: (all) => Object.keys(all).filter((part) => part.startsWith('certificate ') && all[part] !== null),
    read: async () => ({ parts: { ...own }, unread: {}, facts }),
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
  change(verb: HttpsVerb, options?: Partial<ChangeOptions>): ReturnType<typeof changeHttps>
}

const original = { tls: null, policy: '{"Statement": []}', 'certificate www.example.com': '12-cn-hangzhou' }

const newTrial = async (t: Test, parts: HttpsParts = original): Promise<Trial> => {
  const folder = mkdtempSync(join(tmpdir(), 'acme-oss-https-'))
  t.teardown(() => rmSync(folder, { recursive: true, force: true }))
  const state = await StateFolder.open(folder)
  const place = fakePlace(parts)
  let second = 0
  const now = () => new Date(Date.UTC(2026, 0, 1, 0, 0, second++))
  return {
    state,
    place,
    change: (verb, options) =>
      changeHttps(place, verb, { state, dryRun: false, now, signal: new AbortController().signal, ...options }),
  }
}

const enforce = { verb: 'enforce', wish } as const
const relax = { verb: 'relax' } as const
const restore = { verb: 'restore', overwrites: false } as const

const isRelaxed = async ({ state }: Trial): Promise<boolean> => (await relaxedPlaces(state)).length === 1

t.test('enforce, relax, and each put back in turn', async (t) => {
  const trial = await newTrial(t)
  const { place, change } = trial
  t.match(await change(enforce), { status: 'changed', error: undefined })
  const enforced = { ...original, tls: 'strict', policy: 'deny' }
  t.same(place.parts, enforced)
  t.match(await change(relax), { status: 'changed' })
  t.same(place.parts, { ...enforced, policy: null })
  t.equal(await isRelaxed(trial), true)

  t.match(await change(restore), { status: 'changed' })
  t.same(place.parts, enforced)
  t.equal(await isRelaxed(trial), false)
  t.match(await change(restore), { status: 'changed' })
  t.same(place.parts, original)
  t.match(await change(restore), { status: 'failed', error: { code: 'USAGE', message: /nothing is saved/ } })
})

t.test('what is as it is to be is not saved, nor reminded of', async (t) => {
  const trial = await newTrial(t, { ...original, policy: null })
  t.match(await trial.change(relax), { status: 'unchanged', changes: [] })
  t.same(await httpsRecords(trial.state), [])
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
  t.same(await httpsRecords(trial.state), [])
})

t.test('one that failed halfway begins anew, and goes back to where it began', async (t) => {
  const trial = await newTrial(t)
  const { place, change, state } = trial
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
  t.match(await change(restore), { status: 'changed' })
  t.same(place.parts, original)

  place.broken.add('policy')
  await change(enforce)
  t.match(await change(restore), { status: 'changed' }, 'one that was never finished can be put back as well')
  t.same(place.parts, original)
})

t.test('what somebody else has changed since is not overwritten unasked', async (t) => {
  const { place, change } = await newTrial(t)
  await change(enforce)
  place.parts['policy'] = 'deny and more'
  place.parts['other'] = 'theirs'
  t.match(await change(restore), {
    status: 'failed',
    error: { code: 'HTTPS_CHANGED_SINCE', message: /policy of bucket/ },
  })
  t.match(await change({ verb: 'restore', overwrites: true }), { status: 'changed' })
  t.same(place.parts, { ...original, other: 'theirs' }, 'what was not ours stays')
})

t.test('a certificate that came since stays', async (t) => {
  const { place, change } = await newTrial(t)
  await change({ verb: 'disable' })
  t.equal(place.parts['certificate www.example.com'], null)
  place.parts['certificate www.example.com'] = '13-cn-hangzhou'
  t.match(await change(restore), { status: 'changed' })
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
  t.match(await change(restore), {
    status: 'failed',
    error: { code: 'STATE_UNUSABLE', message: /is damaged: .*record\.json/ },
  })
  t.same(await relaxedPlaces(state), [])
})

t.test('of many changes the first and the last twenty are kept', async (t) => {
  const { place, change, state } = await newTrial(t)
  for (let i = 0; i < 15; i++) {
    await change(enforce)
    await change(relax)
  }
  const saved = (await readHttpsRecord(state, place.identity))?.saved ?? []
  t.equal(saved.length, 20)
  t.same(saved[0]?.before, original)
})
