// The cloud fails on the night of the hook. The client does not call again for two months: what is wanted is on disk,
// and `sync` does it, once, as soon as it can be done.
import { readdirSync, readFileSync, statSync } from 'node:fs'
import t from 'tap'
import {
  bucket,
  day,
  deploymentsIn,
  mintMaterial,
  openWorld,
  prefix,
  proveSilence,
  provesFiles,
  provesLayout,
  putKeys,
  resultOf,
  stepsIn,
} from '../deploy-world.js'
import {
  callHook,
  clockAhead,
  cloudDown,
  ends,
  locksIn,
  pendingOf,
  provesSettled,
  recordFile,
  resultsOf,
  statusOf,
  sync,
  unavailable,
} from './hook-call.js'

t.jobs = 2
/** A new one each time: tap keeps things of its own in it. */
const together = () => ({ buffered: true })

const material = await mintMaterial()
const target = `oss ${bucket}/${prefix}`

t.test('down during the hook, back afterwards', together(), async (t) => {
  const world = await openWorld(t)
  const down = cloudDown(world)
  const hook = await callHook(world, material, { words: [...world.toBucket, '--json'] })
  ends(t, hook, 1)
  t.same(
    resultOf(hook).pending.map((one) => [one.target, one.step, one.error?.code]),
    [
      [target, 'archive', 'CLOUD_UNAVAILABLE'],
      [target, 'latest', undefined],
    ],
  )
  const [recorded] = deploymentsIn(world.state)
  t.equal(recorded?.fullchain, material.fullchain)
  t.equal(recorded?.privateKey, material.key)
  t.same(locksIn(world.state), [])

  await t.test('status says so', async (t) => {
    const status = await statusOf(t, world)
    t.equal(status.ok, false)
    const [first] = pendingOf(status)
    t.match(first, { target, step: 'archive', error: { code: 'CLOUD_UNAVAILABLE' } })
    t.match(first?.next, /^\d{4}-\d\d-\d\dT/)
    const text = await world.run(['status'], { terse: true })
    ends(t, text, 1)
    t.match(text.stdout, `example.com (${material.archive}, valid until`)
    t.match(text.stdout, `✗ ${target}: failed `)
    t.match(text.stdout, /^ {6}archive is tried again (\d{4}-\d\d-\d\d \d\d:\d\dZ|with the next acme-oss sync): \S/m)
    t.match(text.stdout, /ServiceUnavailable|503/)
  })

  const before = world.emulator.requests.length
  ends(t, await sync(world), 1)
  t.ok(world.emulator.requests.length > before, 'it is still down, and was asked')

  down.remove()
  const quiet = world.emulator.requests.length
  const early = await sync(world, ['--json'])
  ends(t, early, 0)
  t.equal(world.emulator.requests.length, quiet, 'nothing is asked for before it is due')
  t.match(resultsOf(early), { ok: true, results: [{ name: 'example.com', stages: [], error: null }] })
  t.equal(pendingOf(resultsOf(early)).length, 2)
  t.equal((await statusOf(t, world)).ok, false, 'being not due yet does not make it well')

  const done = await sync(world, ['--now', '--json'])
  ends(t, done, 0)
  t.match(resultsOf(done), {
    schema: 'acme-oss/1',
    command: 'sync',
    ok: true,
    results: [{ certificate: { archive: material.archive }, stages: [{ target, status: 'changed' }], pending: [] }],
  })
  provesLayout(t, world.objects, material)
  await provesSettled(t, world, material)

  const after = world.emulator.requests.length
  ends(t, await sync(world), 0)
  t.equal(world.emulator.requests.length, after, 'what is done is not done again')
})

t.test('when its time has come, sync needs no word', together(), async (t) => {
  let shift = 0
  const world = await openWorld(t, { emulator: { now: () => new Date(Date.now() + shift) } })
  const down = cloudDown(world)
  ends(t, await callHook(world, material), 1)
  down.remove()
  shift = 90_000
  ends(t, await sync(world, [], { nodeOptions: [clockAhead(shift)] }), 0)
  provesLayout(t, world.objects, material)
  await provesSettled(t, world, material)
})

t.test('half down: only what is missing is done later', together(), async (t) => {
  const world = await openWorld(t, { here: true })
  const down = cloudDown(world)
  const tls = world.path('tls')
  const hook = await callHook(world, material, { words: [...world.toBucket, '--directory', tls] })
  ends(t, hook, 3)
  t.match(hook.stdout, `is in place: directory ${tls}\n`)
  t.equal(stepsIn(world.state), 'archive failed, latest pending, archive done, latest done')
  provesFiles(t, material, (file) => readFileSync(`${tls}/latest/${file}`))
  const untouched = () => readdirSync(tls).map((name) => [name, statSync(`${tls}/${name}`).ctimeMs])
  const then = untouched()

  const status = await statusOf(t, world)
  t.same(
    status.results[0]?.stages.map((stage) => [stage.target, stage.status]),
    [
      [target, 'failed'],
      [`directory ${tls}`, 'done'],
    ],
  )
  down.remove()
  const from = world.emulator.requests.length
  const done = await sync(world, ['--now', '--json'])
  ends(t, done, 0)
  t.same(
    resultsOf(done).results.flatMap(({ stages }) => stages.map((one) => [one.target, one.status])),
    [[target, 'changed']],
    'the folder is not even looked at',
  )
  t.same(untouched(), then)
  t.equal(putKeys(world.emulator, from).length, 10)
  provesLayout(t, world.objects, material)
  await provesSettled(t, world, material)
})

t.test('two targets down, one comes back', together(), async (t) => {
  const world = await openWorld(t, { here: true })
  world.emulator.addBucket('another', { region: 'cn-hangzhou' })
  const config = world.file(
    'acme-oss.yaml',
    `certificates:
  example.com:
    deploy:
      - oss: { bucket: ${bucket}, region: cn-hangzhou, prefix: ${prefix}, endpoint: "${world.emulator.url}" }
      - oss: { bucket: another, region: cn-hangzhou, prefix: x/, endpoint: "${world.emulator.url}" }
`,
  )
  const rules = [bucket, 'another'].map((one) => world.emulator.fail({ bucket: one }, unavailable))
  ends(t, await callHook(world, material, { words: ['--config', config] }), 1)
  rules[0]?.remove()
  const half = await sync(world, ['--now', '--json'])
  ends(t, half, 3)
  provesLayout(t, world.objects, material)
  t.same(new Set(pendingOf(resultsOf(half)).map((one) => one.target)), new Set(['oss another/x/']))
  rules[1]?.remove()
  const from = world.emulator.requests.length
  ends(t, await sync(world), 0)
  t.notOk(
    world.emulator.requests.slice(from).some((request) => request.bucket === bucket),
    'the one that is done is left alone',
  )
  provesLayout(t, world.emulator.objects('another'), material, { under: 'x/' })
  await provesSettled(t, world, material)
})

t.test('a step that is done is not run again', together(), async (t) => {
  const world = await openWorld(t, { here: true })
  const down = world.emulator.fail({ key: /latest\/(privkey|README)/ }, unavailable)
  ends(t, await callHook(world, material), 1)
  t.equal(stepsIn(world.state), 'archive done, latest failed')
  down.remove()
  const from = world.emulator.requests.length
  ends(t, await sync(world), 0)
  const asked = world.emulator.requests.slice(from).map(({ key = '' }) => key)
  t.ok(asked.length > 0)
  t.notOk(
    asked.some((key) => key.includes(material.archive)),
    'no request for the archive',
  )
  provesLayout(t, world.objects, material)
  await provesSettled(t, world, material)
})

t.test('the pauses grow', together(), async (t) => {
  const world = await openWorld(t, { here: true })
  cloudDown(world)
  ends(t, await callHook(world, material), 1)
  for (const minutes of [1, 2, 4, 8]) {
    const { at, next, tries } = failureIn(recordFile(world, material))
    t.equal(Date.parse(next) - Date.parse(at), minutes * 60_000, `after try ${tries}: ${minutes} min`)
    const [first] = pendingOf(await statusOf(t, world))
    t.equal(first?.next, next, 'which is what status says')
    const asked = world.emulator.requests.length
    ends(t, await sync(world, []), 0)
    t.equal(world.emulator.requests.length, asked, 'and not before')
    if (minutes < 8) ends(t, await sync(world), 1)
  }
})

t.test('what cannot pass by itself is tried once a day', together(), async (t) => {
  let shift = 0
  const world = await openWorld(t, { here: true, emulator: { now: () => new Date(Date.now() + shift) } })
  const rule = world.emulator.fail({}, { status: 403, code: 'AccessDenied' })
  ends(t, await callHook(world, material), 1)
  ends(t, await sync(world), 1)
  ends(t, await sync(world), 1)
  const { at, next } = failureIn(recordFile(world, material))
  t.equal(Date.parse(next) - Date.parse(at), day, 'however often it was tried')
  const [first] = pendingOf(await statusOf(t, world))
  t.match(first?.error, { code: 'CLOUD_REFUSED', vendor: { code: 'AccessDenied' } })
  t.ok(first?.error?.hint, 'and it says what to do')

  rule.remove()
  const asked = world.emulator.requests.length
  shift = day - 600_000
  ends(t, await sync(world, [], { nodeOptions: [clockAhead(shift)] }), 0)
  t.equal(world.emulator.requests.length, asked)
  shift = day + 600_000
  ends(t, await sync(world, [], { nodeOptions: [clockAhead(shift)] }), 0)
  provesLayout(t, world.objects, material)
  await provesSettled(t, world, material)
})

t.test('without credentials on the night of the hook', together(), async (t) => {
  const world = await openWorld(t)
  const none = { ALIBABA_CLOUD_ACCESS_KEY_ID: undefined, ALIBABA_CLOUD_ACCESS_KEY_SECRET: undefined }
  const hook = await callHook(world, material, { words: [...world.toBucket, '--json'], environment: none })
  ends(t, hook, 1)
  t.match(resultOf(hook).pending, [{ step: 'archive', error: { code: 'CREDENTIALS_MISSING' } }, { step: 'latest' }])
  ends(t, await sync(world, ['--now'], { environment: none }), 1)
  t.equal(world.emulator.requests.length, 0)
  ends(t, await sync(world), 0)
  provesLayout(t, world.objects, material)
  await provesSettled(t, world, material)
})

interface Failed {
  readonly at: string
  readonly next: string
  readonly tries: number
}

/** The only step that failed. */
const failureIn = (file: string): Failed => {
  const { targets } = JSON.parse(readFileSync(file, 'utf8')) as {
    targets: Record<string, { steps: Record<string, Failed & { status: string }> }>
  }
  const [only] = Object.values(targets)
    .flatMap(({ steps }) => Object.values(steps))
    .filter(({ status }) => status === 'failed')
  if (only === undefined) throw new Error(`nothing failed in ${file}`)
  return only
}

await proveSilence(t)
