// What two certificates do to each other that were given the same place, or the same name.
import t, { type Test } from 'tap'
import {
  daysFromNow,
  type Material,
  mintMaterial,
  openWorld,
  prefix,
  proveSilence,
  resultOf,
  type World,
} from '../deploy-world.js'
import {
  callHook,
  cloudDown,
  ends,
  latestWritten,
  mintSeries,
  pendingOf,
  provesLatest,
  provesNoKey,
  provesSettled,
  recordsOf,
  resultsOf,
  statusOf,
  sync,
} from './hook-call.js'

/** Whose leaf lies in `latest/`, which then is that certificate's altogether. */
const wholeLatest = (t: Test, world: World, ...materials: readonly Material[]): void => {
  const leaf = world.objects.get(`${prefix}latest/cert.pem`)?.body.toString()
  const owner = materials.find((one) => one.leaf === leaf)
  t.ok(owner !== undefined, 'it is one of them')
  if (owner !== undefined) provesLatest(t, world, owner)
}

t.test('two names with one place: latest/ is that of one of them, whole', async (t) => {
  const a = await mintMaterial({ names: ['a.example.com'] })
  const b = await mintMaterial({ names: ['b.example.com'] })
  const world = await openWorld(t)
  const down = cloudDown(world)
  await Promise.all([
    callHook(world, a, { name: 'a.example.com', words: [...world.toBucket, '--allow-older'] }),
    callHook(world, b, { name: 'b.example.com', words: [...world.toBucket, '--allow-older'] }),
  ])
  down.remove()
  for (let seed = 1; seed <= 4; seed++) {
    // Answers that come in another order than the questions.
    world.emulator.fail({ probability: 0.5, seed }, { delayMs: 40 })
    ends(t, await sync(world), 0)
    wholeLatest(t, world, a, b)
    await Promise.all([
      callHook(world, a, { name: 'a.example.com', words: [...world.toBucket, '--allow-older'] }),
      callHook(world, b, { name: 'b.example.com', words: [...world.toBucket, '--allow-older'] }),
    ])
    wholeLatest(t, world, a, b)
  }
  provesNoKey(t, world, a, b)
})

t.test('a certificate of another site is no older one of the same: it is said', async (t) => {
  const a = await mintMaterial({ names: ['a.example.com'] })
  const b = await mintMaterial({ names: ['b.example.com'], notBefore: daysFromNow(-20), notAfter: daysFromNow(60) })
  const world = await openWorld(t)
  for (const target of [world.toBucket, ['--directory', world.path('tls')]]) {
    ends(t, await callHook(world, a, { name: 'a.example.com', words: target }), 0)
    const run = await callHook(world, b, { name: 'b.example.com', words: [...target, '--json'] })
    t.match(resultOf(run).warnings, [/holds the certificate of another site \(a\.example\.com\): give each a place/])
  }
})

t.test('an older one that is to replace a newer one does, also when the cloud was down', async (t) => {
  const [older, newer] = (await mintSeries(2)) as [Material, Material]
  const world = await openWorld(t, { here: true })
  ends(t, await callHook(world, newer), 0)
  const down = cloudDown(world)
  ends(t, await callHook(world, older, { words: [...world.toBucket, '--allow-older'] }), 1)
  down.remove()
  ends(t, await sync(world), 0)
  provesLatest(t, world, older)
  await provesSettled(t, world, older, newer)
})

t.test('what was forgotten of a newer one takes nothing from an older one', async (t) => {
  const [older, newer] = (await mintSeries(2)) as [Material, Material]
  const world = await openWorld(t, { here: true })
  const down = cloudDown(world)
  ends(t, await callHook(world, newer), 1)
  ends(t, await world.run(['forget', 'example.com']), 0)
  ends(t, await callHook(world, older), 1)
  down.remove()
  ends(t, await sync(world), 0)
  provesLatest(t, world, older)
})

t.test('a newer one in one place does not make an older one unwanted whose place is not known', async (t) => {
  const [older, newer] = (await mintSeries(2)) as [Material, Material]
  const world = await openWorld(t, { here: true })
  ends(t, await callHook(world, older, { words: [] }), 1)
  ends(t, await callHook(world, newer, { words: ['--directory', world.path('tls')] }), 0)
  t.match(pendingOf(await statusOf(t, world)), [{ target: null }])
  // Now it is known: the same folder, where the newer one lies, and a bucket.
  const config = world.file(
    'acme-oss.yaml',
    `certificates:
  example.com:
    deploy:
      - directory: { path: ${world.path('tls')} }
      - oss: { bucket: my-ssl-certs, region: cn-hangzhou, prefix: ${prefix}, endpoint: "${world.emulator.url}" }
`,
  )
  ends(t, await sync(world, ['--now', '--config', config]), 0)
  provesLatest(t, world, older)
  t.same(latestWritten(world, [older, newer]), [older.archive])
  t.equal(recordsOf(world).length, 2)
  await provesSettled(t, world, older, newer)
})

t.test('a pause that was reckoned by a wrong clock is not kept', async (t) => {
  const material = await mintMaterial({ notAfter: daysFromNow(200) })
  const world = await openWorld(t)
  const down = cloudDown(world)
  const ahead = `--import=data:text/javascript,${encodeURIComponent(`
    const Real = Date
    globalThis.Date = class extends Real {
      constructor(...words) { if (words.length > 0) super(...words); else super(Real.now() + 60 * 86_400_000) }
      static now() { return Real.now() + 60 * 86_400_000 }
    }`)}`
  await callHook(world, material, { nodeOptions: [ahead] })
  down.remove()
  ends(t, await sync(world, []), 0)
  provesLatest(t, world, material)
})

t.test('a name that is too long for a file', async (t) => {
  const material = await mintMaterial()
  const name = `${'ü'.repeat(80)}.example`
  const world = await openWorld(t, { here: true })
  const down = cloudDown(world)
  ends(t, await callHook(world, material, { words: [...world.toBucket, '--name', name] }), 1)
  t.equal((await statusOf(t, world, [name])).results.length, 1)
  down.remove()
  ends(t, await sync(world, ['--now', name]), 0)
  provesLatest(t, world, material)
  ends(t, await world.run(['forget', name]), 0)
})

t.test('a dry run of a hook prints one object', async (t) => {
  const material = await mintMaterial()
  const world = await openWorld(t)
  const run = await callHook(world, material, { words: [...world.toBucket, '--dry-run', '--json'] })
  ends(t, run, 0)
  t.match(JSON.parse(run.stdout), { ok: true, stages: [{ status: 'planned' }] })
  const group = ['example.com', world.file('key', material.key), '-', world.file('full', material.fullchain), '-', '1']
  const two = ['hook', 'dehydrated', ...world.toBucket, '--json']
  const dry = await world.run([...two, '--dry-run', '--', 'deploy_cert', ...group, ...group])
  ends(t, dry, 0)
  t.equal(resultsOf(dry).results.length, 2)
  t.equal(resultsOf(await world.run([...two, '--dry-run', '--', 'startup_hook', '--json=no'])).results.length, 0)
  t.equal(world.emulator.requests.length, 0)

  const half = await world.run([...two, '--', 'deploy_cert', ...group, 'other.example.com'])
  ends(t, half, 3)
  t.match(resultsOf(half).results, [
    { certificate: { archive: material.archive } },
    { error: { code: 'HOOK_INCOMPLETE' } },
  ])
})

await proveSilence(t)
