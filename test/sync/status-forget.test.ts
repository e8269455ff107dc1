// What `status`, `sync` and `forget` say, to people and to programs, of all names or of those that are asked for.
import { existsSync, readFileSync } from 'node:fs'
import t from 'tap'
import {
  bucket,
  type Material,
  mintMaterial,
  openWorld,
  prefix,
  proveSilence,
  provesFiles,
  provesLayout,
  stepsIn,
} from '../deploy-world.js'
import {
  callHook,
  cloudDown,
  ends,
  keysIn,
  mintSeries,
  pendingOf,
  provesSettled,
  resultsOf,
  statusOf,
  sync,
  toPrefix,
} from './hook-call.js'

t.jobs = 2
/** A new one each time: tap keeps things of its own in it. */
const together = () => ({ buffered: true })

const material = await mintMaterial()
const target = `oss ${bucket}/${prefix}`

t.test('where nothing is wanted', together(), async (t) => {
  const world = await openWorld(t)
  const text = await world.run(['status'], { terse: true })
  ends(t, text, 0)
  t.match(text.stdout, 'nothing is wanted')
  t.notOk(existsSync(world.state), 'asking makes nothing')
  t.strictSame(await statusOf(t, world), {
    schema: 'acme-oss/1',
    command: 'status',
    ok: true,
    results: [],
    relaxed: [],
    warnings: [],
    error: null,
  })
  ends(t, await sync(world), 0)
  t.strictSame(resultsOf(await sync(world, ['--json'])), {
    schema: 'acme-oss/1',
    command: 'sync',
    ok: true,
    results: [],
    warnings: [],
    error: null,
  })
  t.equal(world.emulator.requests.length, 0)
})

t.test('names that nothing is wanted under', together(), async (t) => {
  const world = await openWorld(t, { here: true })
  ends(t, await callHook(world, material), 0)
  for (const words of [['status'], ['sync'], ['sync', '--now'], ['forget']]) {
    const near = await world.run([...words, 'exampel.com'], { terse: true })
    ends(t, near, 2)
    t.match(near.stderr, 'error: nothing is or was wanted under the name exampel.com')
    t.match(near.stderr, 'did you mean example.com?')
    const far = await world.run([...words, 'something-else', '--json'])
    ends(t, far, 2)
    t.match(JSON.parse(far.stdout), { schema: 'acme-oss/1', command: words[0], ok: false, error: { code: 'USAGE' } })
  }
  ends(t, await world.run(['status', 'example.com', 'example.com']), 0)
  ends(t, await world.run(['forget']), 2)
})

t.test('the flags of a target beside a name', together(), async (t) => {
  const world = await openWorld(t)
  const run = await world.run(['status', '--bucket', bucket], { terse: true })
  ends(t, run, 2)
})

t.test('the shapes', together(), async (t) => {
  const world = await openWorld(t)
  const down = cloudDown(world)
  ends(t, await callHook(world, material, { words: [...world.toBucket, '--directory', world.path('tls')] }), 3)
  const certificate = {
    name: 'example.com',
    names: material.names,
    notBefore: material.notBefore.toISOString(),
    notAfter: material.notAfter.toISOString(),
    serial: material.x509.serialNumber,
    sha1: material.x509.fingerprint.replaceAll(':', '').toLowerCase(),
    sha256: material.x509.fingerprint256.replaceAll(':', '').toLowerCase(),
    archive: material.archive,
  }
  const { results, ...about } = await statusOf(t, world)
  t.strictSame(about, { schema: 'acme-oss/1', command: 'status', ok: false, relaxed: [], warnings: [], error: null })
  t.equal(results.length, 1)
  const [{ stages = [], pending = [], concerns = [], ...rest } = {}] = results
  t.strictSame(rest, {
    ...{ name: 'example.com', certificate, daysLeft: 89, renewal: null, held: null },
    ...{ warnings: [], error: null },
  })
  t.match(concerns, [{ kind: 'pending', place: target, sentence: /^example\.com is not in place on oss / }])
  t.equal(concerns.length, 1, 'what was not tried yet is none')
  t.match(stages, [
    {
      target,
      status: 'failed',
      steps: [
        { id: 'archive', status: 'failed' },
        { id: 'latest', status: 'pending' },
      ],
    },
    {
      target: `directory ${world.path('tls')}`,
      status: 'done',
      steps: [
        { id: 'archive', status: 'done', at: /^\d{4}-/ },
        { id: 'latest', status: 'done', at: /^\d{4}-/ },
      ],
    },
  ])
  for (const stage of stages) {
    t.same(Object.keys(stage), ['target', 'status', 'there', 'served', 'steps'])
    for (const step of stage.steps) t.same(Object.keys(step), ['id', 'status', 'at', 'note'])
  }
  for (const one of pending) {
    t.same(Object.keys(one), ['target', 'step', 'next', 'error'])
    if (one.error !== null) t.same(Object.keys(one.error), ['code', 'message', 'hint', 'vendor'])
  }
  t.match(pending, [
    { target, step: 'archive', next: /^\d{4}-\d\d-\d\dT/, error: { code: 'CLOUD_UNAVAILABLE' } },
    { target, step: 'latest', next: null, error: null },
  ])

  down.remove()
  const done = resultsOf(await sync(world, ['--now', '--json']))
  t.same(Object.keys(done), ['schema', 'command', 'ok', 'results', 'warnings', 'error'])
  t.same(Object.keys(done.results[0] ?? {}), ['name', 'certificate', 'stages', 'pending', 'warnings', 'error'])
  t.match(done.results, [
    {
      name: 'example.com',
      certificate,
      stages: [{ target, status: 'changed' }],
      pending: [],
      warnings: [],
      error: null,
    },
  ])
  const [step] = done.results[0]?.stages[0]?.steps ?? []
  t.same(Object.keys(step ?? {}), ['id', 'does', 'status', 'ms', 'note', 'error'])
  await provesSettled(t, world, material)
})

t.test('one name of several', together(), async (t) => {
  const world = await openWorld(t, { here: true })
  const down = cloudDown(world)
  const others = await Promise.all(['example.net', 'example.org'].map((name) => mintMaterial({ names: [name] })))
  ends(t, await callHook(world, material), 1)
  for (const other of others) {
    const name = other.names[0] ?? ''
    ends(t, await callHook(world, other, { name, words: toPrefix(world, `${name}/`) }), 1)
  }
  down.remove()
  t.same(
    (await statusOf(t, world, ['example.org'])).results.map(({ name }) => name),
    ['example.org'],
  )
  ends(t, await sync(world, ['--now', 'example.org']), 0)
  provesLayout(t, world.objects, others[1] as Material, { under: 'example.org/' })
  t.equal(world.objects.size, 10, 'the others are left alone')
  t.equal((await statusOf(t, world, ['example.org'])).ok, true)
  t.equal((await statusOf(t, world)).ok, false)

  ends(t, await world.run(['forget', 'example.net']), 0)
  ends(t, await sync(world), 0)
  provesLayout(t, world.objects, material)
  t.notOk([...world.objects.keys()].some((key) => key.startsWith('example.net/')))
  await provesSettled(t, world, material, ...others)
})

t.test('a name that is not one for a file', together(), async (t) => {
  const world = await openWorld(t, { here: true })
  const wild = await mintMaterial({ names: ['*.example.com'] })
  const down = cloudDown(world)
  ends(t, await callHook(world, wild, { words: [...world.toBucket, '--name', '*.example.com'] }), 1)
  down.remove()
  t.match((await statusOf(t, world, ['*.example.com'])).results, [{ name: '*.example.com' }])
  ends(t, await sync(world, ['--now', '*.example.com']), 0)
  provesLayout(t, world.objects, wild)
  await provesSettled(t, world, wild)
})

t.test('forget NAME', together(), async (t) => {
  const world = await openWorld(t)
  const [older, newer] = (await mintSeries(2)) as [Material, Material]
  ends(t, await callHook(world, older), 0)
  const down = cloudDown(world)
  ends(t, await callHook(world, newer), 1)
  const run = await world.run(['forget', 'example.com'], { terse: true })
  ends(t, run, 0)
  t.equal(run.stdout, `example.com: no longer wanted: ${target}\n`)
  down.remove()
  const asked = world.emulator.requests.length
  ends(t, await sync(world), 0)
  t.equal(world.emulator.requests.length, asked)
  provesFiles(t, older, (file) => world.objects.get(`${prefix}latest/${file}`)?.body)
  await provesSettled(t, world, older, newer)

  const again = await world.run(['forget', 'example.com', '--json'])
  ends(t, again, 0)
  t.strictSame(JSON.parse(again.stdout), {
    schema: 'acme-oss/1',
    command: 'forget',
    ok: true,
    name: 'example.com',
    forgotten: [],
    warnings: [],
    error: null,
  })
  ends(t, await callHook(world, newer), 0)
  provesFiles(t, newer, (file) => world.objects.get(`${prefix}latest/${file}`)?.body)
})

t.test('forget NAME TARGET', together(), async (t) => {
  const world = await openWorld(t)
  const down = cloudDown(world)
  const tls = world.path('tls')
  const words = [...world.toBucket, '--directory', world.file('tls', 'a file in its place')]
  ends(t, await callHook(world, material, { words }), 1)
  t.equal(pendingOf(await statusOf(t, world)).length, 4)

  const wrong = await world.run(['forget', 'example.com', 'oss another/'], { terse: true })
  ends(t, wrong, 2)
  t.match(wrong.stderr, 'error: example.com was never wanted on "oss another/"')
  t.match(wrong.stderr, target)
  t.match(wrong.stderr, `directory ${tls}`)

  const run = await world.run(['forget', 'example.com', `directory ${tls}`, '--json'])
  ends(t, run, 0)
  t.match(JSON.parse(run.stdout), { ok: true, forgotten: [`directory ${tls}`] })
  t.equal(stepsIn(world.state), 'archive failed, latest pending, archive forgotten, latest forgotten')
  t.equal(keysIn(world.state).length, 1, 'the key is kept for the other')
  t.same(
    pendingOf(await statusOf(t, world)).map((one) => one.target),
    [target, target],
  )
  down.remove()
  ends(t, await sync(world), 0)
  provesLayout(t, world.objects, material)
  t.equal(readFileSync(tls, 'utf8'), 'a file in its place')
  await provesSettled(t, world, material)
})

t.test('forget while the hook is at work waits for it', together(), async (t) => {
  const world = await openWorld(t)
  world.emulator.latency(50)
  const hook = callHook(world, material)
  while (world.emulator.requests.length === 0) await new Promise((resolve) => setTimeout(resolve, 5))
  const forgotten = await world.run(['forget', 'example.com'])
  ends(t, forgotten, 0)
  t.match(forgotten.stdout, 'no longer wanted: oss my-ssl-certs')
  ends(t, await hook, 0)
  provesLayout(t, world.objects, material)
  await provesSettled(t, world, material)
})

await proveSilence(t)
