// Somebody's hand was in the state folder. What a damaged record said is lost, but it is named, keeps no other name
// from being deployed, and is mended by the hook or cleared by `forget`.
import { cpSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import t, { type Test } from 'tap'
import {
  type Material,
  mintMaterial,
  openWorld,
  prefix,
  proveSilence,
  provesLayout,
  type World,
} from '../deploy-world.js'
import {
  callHook,
  cloudDown,
  ends,
  mintSeries,
  provesLatest,
  provesNoKey,
  provesSettled,
  recordFile,
  resultsOf,
  statusOf,
  sync,
  toPrefix,
} from './hook-call.js'

t.jobs = 2
/** A new one each time: tap keeps things of its own in it. */
const together = () => ({ buffered: true })

const material = await mintMaterial()
const other = await mintMaterial({ names: ['example.net'] })
/** What is only to be there, or done again and again: in this process. */
const here = { here: true }
const otherPrefix = 'certs/example.net/'

/** Two names are pending, the cloud is back, and the record of one of them is what `damage` makes of it. */
const openDamaged = async (t: Test, damage: (text: string) => string): Promise<World> => {
  const world = await openWorld(t)
  const down = cloudDown(world)
  ends(t, await callHook(world, material, here), 1)
  ends(t, await callHook(world, other, { ...here, words: toPrefix(world, otherPrefix), name: 'example.net' }), 1)
  down.remove()
  const file = recordFile(world, material)
  writeFileSync(file, damage(readFileSync(file, 'utf8')))
  return world
}

/** The record with one of its fields changed; `undefined` takes it away. */
const having =
  (field: string, value: unknown) =>
  (text: string): string =>
    JSON.stringify({ ...(JSON.parse(text) as object), [field]: value })

/** The record with its only target changed. */
const havingTarget =
  (change: object) =>
  (text: string): string => {
    const record = JSON.parse(text) as { targets: Record<string, object> }
    const targets = Object.entries(record.targets).map(([identity, target]) => [identity, { ...target, ...change }])
    return JSON.stringify({ ...record, targets: Object.fromEntries(targets) })
  }

const damages: Readonly<Record<string, (text: string) => string>> = {
  'nothing in it': () => '',
  'cut off': () => '{',
  'cut off in the middle': (text) => text.slice(0, text.length / 2),
  'an empty object': () => '{}',
  null: () => 'null',
  'bytes that are no text': () => '\u0000\ufffd\u0000',
  'targets that are null': having('targets', null),
  'a target that is null': (text) => having('targets', { x: null })(text),
  'another name': having('name', 'example.org'),
  'no certificate that it is about': having('fingerprint', {}),
  'a fingerprint without SHA-1': having('fingerprint', { sha256: 'a'.repeat(64) }),
  'the fingerprint of another one': having('fingerprint', { sha1: 'a'.repeat(40), sha256: 'a'.repeat(64) }),
  'names that are none': having('names', [1, null]),
  'no serial number': having('serial', undefined),
  'no archive': having('archive', undefined),
  'a date that is none': having('notAfter', 'soon'),
  'a schema that is not ours': having('schema', 2),
  'steps that are null': havingTarget({ steps: null }),
  'a step that is nowhere': havingTarget({ steps: { archive: {} } }),
  'a step in a state that does not exist': havingTarget({ steps: { archive: { status: 'perhaps' } } }),
  'a step that is done at no time': havingTarget({ steps: { archive: { status: 'done' } } }),
  'a failure without an error': havingTarget({ steps: { archive: { status: 'failed', at: '', tries: 1, next: '' } } }),
  'a reason that is a number': having('unresolved', 7),
}

t.test('damaged in every way, each under a name of its own', together(), async (t) => {
  const world = await openDamaged(t, (text) => text)
  const sound = recordFile(world, material)
  const cases = Object.entries(damages).map(([what, damage], i) => {
    const name = `case-${i}`
    const file = recordFile(world, material, name)
    // As if this name had been handed over with the same certificate.
    cpSync(dirname(sound), dirname(file), { recursive: true })
    writeFileSync(file, damage(having('name', name)(readFileSync(sound, 'utf8'))))
    return { what, name, file }
  })

  const run = await world.run(['status', '--json'])
  ends(t, run, 1)
  const { results } = resultsOf(run)
  const text = await world.run(['status'], { terse: true })
  ends(t, text, 1)
  for (const { what, name, file } of cases) {
    const [only, ...more] = results.filter((one) => one.name === name)
    t.match(only, { certificate: null, pending: [], error: { code: 'STATE_UNUSABLE' } }, what)
    t.match(only?.error?.message, file, 'the file is named')
    t.match(only?.error?.hint, `acme-oss forget ${name}`)
    t.same(more, [])
    t.match(text.stderr, `error: ${name}: the record ${file} is damaged`)
  }
  t.equal(results.length, cases.length + 2, 'the sound ones are listed')
  t.match(text.stdout, `example.net (${other.archive}`)

  const partly = await sync(world)
  ends(t, partly, 3)
  for (const { file } of cases) t.match(partly.stderr, `the record ${file} is damaged`)
  provesLayout(t, world.objects, other, { under: otherPrefix })
  provesLayout(t, world.objects, material)
  const again = await sync(world, ['--now', '--json'])
  ends(t, again, 1)
  t.equal(resultsOf(again).results.length, cases.length)

  // The hook of each name once more, a few at a time.
  for (let i = 0; i < cases.length; i += 4) {
    const some = cases.slice(i, i + 4)
    const hooks = some.map(({ name }) =>
      callHook(world, material, { ...here, name, words: toPrefix(world, `${name}/`) }),
    )
    for (const hook of await Promise.all(hooks)) ends(t, hook, 0)
  }
  await provesSettled(t, world, material, other)
})

t.test('forgotten', together(), async (t) => {
  const world = await openDamaged(t, () => '{')
  const run = await world.run(['forget', 'example.com'])
  ends(t, run, 0)
  t.match(run.stdout, recordFile(world, material))
  t.match((await statusOf(t, world)).results, [{ name: 'example.net', error: null }])
  ends(t, await sync(world), 0)
  t.notOk([...world.objects.keys()].some((key) => key.startsWith(prefix)))
  await provesSettled(t, world, material, other)
})

t.test('a record that is a folder', together(), async (t) => {
  const world = await openDamaged(t, (text) => text)
  const file = recordFile(world, material)
  rmSync(file)
  mkdirSync(file)
  const status = await statusOf(t, world)
  t.match(status.results.find(({ name }) => name === 'example.com')?.error?.message, file)
  t.ok(status.results.some(({ name }) => name === 'example.net'))
  const run = await sync(world)
  ends(t, run, 3)
  t.match(run.stderr, file)
  provesLayout(t, world.objects, other, { under: otherPrefix })
})

t.test('a newer certificate beside a damaged record', together(), async (t) => {
  const [older, newer] = (await mintSeries(2)) as [Material, Material]
  const world = await openWorld(t)
  const down = cloudDown(world)
  ends(t, await callHook(world, older), 1)
  writeFileSync(recordFile(world, older), '{')
  down.remove()
  ends(t, await callHook(world, newer), 0)
  provesLatest(t, world, newer)
  t.equal((await statusOf(t, world)).ok, false, 'it is not passed over in silence')
  const text = await world.run(['forget', 'example.com', '--json'])
  ends(t, text, 0)
  t.match(JSON.parse(text.stdout), { ok: true, name: 'example.com', forgotten: [/^oss /, /^the damaged record /] })
  await provesSettled(t, world, older, newer)
})

const lost: Readonly<Record<string, { readonly file: string; readonly content?: string; readonly code: RegExp }>> = {
  'the key is gone': { file: 'privkey.pem', code: /^STATE_UNUSABLE$/ },
  'the certificate is gone': { file: 'fullchain.pem', code: /^STATE_UNUSABLE$/ },
  'the key is none': { file: 'privkey.pem', content: 'nonsense\n', code: /^[A-Z]+_[A-Z_]+$/ },
  'the certificate is none': { file: 'fullchain.pem', content: 'nonsense\n', code: /^[A-Z]+_[A-Z_]+$/ },
}

for (const [what, { file, content, code }] of Object.entries(lost)) {
  t.test(what, together(), async (t) => {
    const world = await openDamaged(t, (text) => text)
    const path = join(dirname(recordFile(world, material)), file)
    if (content === undefined) rmSync(path)
    else writeFileSync(path, content)
    const run = await sync(world, ['--now', '--json'], here)
    ends(t, run, 3)
    const mine = resultsOf(run).results.find(({ name }) => name === 'example.com')
    t.match(mine?.error?.code, code)
    t.match(mine?.error?.message, /\S/)
    provesLayout(t, world.objects, other, { under: otherPrefix })
    t.equal((await statusOf(t, world)).ok, false)
    ends(t, await callHook(world, material, here), 0)
    provesLayout(t, world.objects, material)
    await provesSettled(t, world, material, other)
  })
}

t.test('the whole folder is gone', together(), async (t) => {
  const world = await openDamaged(t, (text) => text)
  rmSync(world.state, { recursive: true })
  ends(t, await sync(world), 0)
  t.equal((await statusOf(t, world)).ok, true)
  ends(t, await callHook(world, material), 0)
  provesLayout(t, world.objects, material)
  provesNoKey(t, world, material)
})

await proveSilence(t)
