// The configuration is broken on the night of the hook. The certificate is handed over only once, so it is kept until
// somebody has mended what is wrong.
import { existsSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import {
  bucket,
  deploymentsIn,
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
  clockAhead,
  cloudDown,
  ends,
  keysIn,
  mintSeries,
  pendingOf,
  provesLatest,
  provesNoKey,
  provesSettled,
  resultsOf,
  statusOf,
  sync,
} from './hook-call.js'

t.jobs = 2
/** A new one each time: tap keeps things of its own in it. */
const together = () => ({ buffered: true })

const material = await mintMaterial()

// In the tables below the first of a kind is tried as it is published, and the others in this process.
const right = (world: World): string => `certificates:
  example.com:
    deploy:
      - oss: { bucket: ${bucket}, region: cn-hangzhou, prefix: ${prefix}, endpoint: "${world.emulator.url}" }
`

/** Recorded, kept, named by `status`; nothing was sent. */
const provesKept = async (t: Test, world: World): Promise<void> => {
  t.equal(world.emulator.requests.length, 0)
  const [recorded, ...more] = deploymentsIn(world.state)
  t.same(more, [])
  t.equal(recorded?.record.archive, material.archive)
  t.equal(recorded?.fullchain, material.fullchain)
  t.equal(recorded?.privateKey, material.key, 'the key is kept')
  const pending = pendingOf(await statusOf(t, world))
  t.match(pending, [{ target: null, step: null, next: /^\d{4}-/, error: { message: /\S/ } }])
  const text = await world.call(['status'], { terse: true })
  t.match(text.stdout, 'nobody knows yet where it is to go')
  t.match(text.stdout, pending[0]?.error?.message)
}

const provesDeployed = async (t: Test, world: World): Promise<void> => {
  provesLayout(t, world.objects, material)
  await provesSettled(t, world, material)
  const [result] = (await statusOf(t, world)).results
  t.match(result?.stages, [{ target: `oss ${bucket}/${prefix}`, status: 'done' }])
}

interface Broken {
  readonly text: (world: World) => string
  readonly says: RegExp
}

const broken: Readonly<Record<string, Broken>> = {
  'a syntax error': { text: (world) => `${right(world)}nonsense: [`, says: /acme-oss\.yaml:\d+/ },
  'an unknown key': { text: (world) => right(world).replace('prefix', 'perfix'), says: /did you mean prefix\?/ },
  'no entry': {
    text: (world) => right(world).replace('example.com', 'example.net'),
    says: /no entry for example\.com/,
  },
  'an entry without targets': {
    text: () => 'certificates:\n  example.com:\n    domains: [example.com]\n',
    says: /no deploy list/,
  },
  'an empty file': { text: () => '', says: /no entry for example\.com/ },
  'a bad bucket name': {
    text: (world) => right(world).replace(bucket, 'My_Bucket'),
    says: /My_Bucket/,
  },
  'an endpoint without encryption': {
    text: (world) => right(world).replace(world.emulator.url, 'http://oss-cn-hangzhou.aliyuncs.com'),
    says: /http:\/\/oss-cn-hangzhou\.aliyuncs\.com|plain http/,
  },
  'two entries with the same names': {
    text: (world) => {
      const [head = '', , ...entry] = right(world).split('\n')
      const domains = '    domains: [www.example.com, example.com]'
      return [head, '  one:', domains, ...entry.slice(0, 2), '  two:', domains, ...entry].join('\n')
    },
    says: /one and two have the same domains/,
  },
}

for (const [what, { text, says }] of Object.entries(broken)) {
  t.test(what, together(), async (t) => {
    const world = await openWorld(t)
    const here = what !== 'a syntax error'
    const words = ['--config', world.file('acme-oss.yaml', text(world))]
    const hook = await callHook(world, material, { words, here })
    ends(t, hook, 1)
    t.match(hook.stderr, says)
    t.match(hook.stderr, /has been recorded; once that is mended: acme-oss sync --now/)
    await provesKept(t, world)

    const still = await sync(world, ['--now', ...words], { here })
    ends(t, still, 1)
    t.match(still.stderr, says, 'sync says what is wrong as well')
    await provesKept(t, world)

    world.file('acme-oss.yaml', right(world))
    ends(t, await sync(world, ['--now', ...words], { here }), 0)
    await provesDeployed(t, world)
  })
}

t.test('a configuration that is not there', together(), async (t) => {
  const world = await openWorld(t)
  const words = ['--config', world.path('acme-oss.yaml')]
  ends(t, await callHook(world, material, { words }), 1)
  await provesKept(t, world)
  t.notOk(existsSync(join(world.state, 'cache')))
  world.file('acme-oss.yaml', right(world))
  ends(t, await sync(world, ['--now', ...words]), 0)
  await provesDeployed(t, world)
  t.match(readdirSync(join(world.state, 'cache')), [/^config-[0-9a-f]{64}\.json$/], 'kept for the next run')
})

const variables: Readonly<Record<string, Readonly<Record<string, string>>>> = {
  'a region without a bucket': { ACME_OSS_BUCKET: '' },
  'a bad bucket name': { ACME_OSS_BUCKET: 'My_Bucket' },
  'an unknown encryption': { ACME_OSS_SSE: 'rot13' },
  'a switch that is neither on nor off': { ACME_OSS_ALLOW_OLDER: 'perhaps' },
  'an endpoint that is no URL': { ACME_OSS_ENDPOINT: 'ftp://oss-cn-hangzhou.aliyuncs.com' },
  'an endpoint without encryption': { ACME_OSS_ENDPOINT: 'http://oss-cn-hangzhou.aliyuncs.com' },
  'a prefix that leads elsewhere': { ACME_OSS_PREFIX: '../elsewhere' },
}

for (const [what, wrong] of Object.entries(variables)) {
  t.test(`${what} in a variable`, together(), async (t) => {
    const world = await openWorld(t)
    const mended = {
      ACME_OSS_BUCKET: bucket,
      ACME_OSS_REGION: 'cn-hangzhou',
      ACME_OSS_PREFIX: prefix,
      ACME_OSS_ENDPOINT: world.emulator.url,
    }
    const here = what !== 'a bad bucket name'
    const hook = await callHook(world, material, { words: [], here, environment: { ...mended, ...wrong } })
    ends(t, hook, 1)
    await provesKept(t, world)
    ends(t, await sync(world, ['--now'], { here, environment: mended }), 0)
    await provesDeployed(t, world)
  })
}

t.test('a variable that says something else wrong is passed over', together(), async (t) => {
  const world = await openWorld(t)
  const environment = { ACME_OSS_TIMEOUT: 'soon', ACME_OSS_DRY_RUN: 'perhaps' }
  const hook = await callHook(world, material, { words: [...world.toBucket, '--json'], environment })
  ends(t, hook, 0)
  t.match(JSON.parse(hook.stdout), {
    ok: true,
    warnings: [/^ACME_OSS_TIMEOUT is passed over: .*whole number/, /^ACME_OSS_DRY_RUN is passed over: .*on or off/],
  })
  await provesDeployed(t, world)
})

t.test('nothing at all says where it is to go', together(), async (t) => {
  const world = await openWorld(t)
  const hook = await callHook(world, material, { words: ['--json'] })
  ends(t, hook, 1)
  t.match(JSON.parse(hook.stdout), {
    schema: 'acme-oss/1',
    command: 'hook',
    ok: false,
    certificate: { archive: material.archive },
    stages: [],
    pending: [{ target: null, step: null, error: { code: 'USAGE' } }],
    error: { code: 'USAGE', hint: /--bucket/ },
  })
  await provesKept(t, world)
  t.test('once a day is often enough for what cannot pass by itself', async (t) => {
    const quiet = await sync(world, ['--json'], { nodeOptions: [clockAhead(20 * 3_600_000)] })
    ends(t, quiet, 0)
    t.same(
      pendingOf(resultsOf(quiet)).map(({ target }) => target),
      [null],
    )
  })
  await t.test('calling the hook again with a target does as well', async (t) => {
    ends(t, await callHook(world, material), 0)
    await provesDeployed(t, world)
  })
})

t.test('resolved, but the cloud is down', together(), async (t) => {
  const world = await openWorld(t)
  ends(t, await callHook(world, material, { words: [] }), 1)
  const down = cloudDown(world)
  const words = ['--config', world.file('acme-oss.yaml', right(world))]
  ends(t, await sync(world, ['--now', ...words]), 1)
  t.match(pendingOf(await statusOf(t, world)), [{ step: 'archive' }, { step: 'latest' }])
  down.remove()
  // Where it goes is known from now on, whatever becomes of the configuration.
  ends(t, await sync(world), 0)
  await provesDeployed(t, world)
})

t.test('of two that wait for a mend, the newer one is deployed', together(), async (t) => {
  const world = await openWorld(t)
  const [older, newer] = (await mintSeries(2)) as [Material, Material]
  ends(t, await callHook(world, older, { words: [] }), 1)
  ends(t, await callHook(world, newer, { words: [] }), 1)
  t.equal(keysIn(world.state).length, 1, 'the key of the older one is not kept')
  t.equal(pendingOf(await statusOf(t, world)).length, 1)
  const words = ['--config', world.file('acme-oss.yaml', right(world))]
  ends(t, await sync(world, ['--now', ...words]), 0)
  provesLayout(t, world.objects, newer)
  await provesSettled(t, world, older, newer)
})

t.test('forgotten instead of mended', together(), async (t) => {
  const world = await openWorld(t)
  ends(t, await callHook(world, material, { words: [] }), 1)
  ends(t, await world.run(['forget', 'example.com']), 0)
  provesNoKey(t, world, material)
  await provesSettled(t, world, material)
  t.equal(world.emulator.requests.length, 0)
})

t.test('what is wrong with one name keeps no other', together(), async (t) => {
  const world = await openWorld(t)
  const other = await mintMaterial({ names: ['example.net'] })
  const words = ['--config', world.file('acme-oss.yaml', right(world))]
  ends(t, await callHook(world, other, { words, name: 'example.net' }), 1)
  const down = cloudDown(world)
  ends(t, await callHook(world, material, { words }), 1)
  down.remove()
  const run = await sync(world, ['--now', '--json', ...words])
  ends(t, run, 3)
  provesLatest(t, world, material)
  t.match(
    resultsOf(run).results.map(({ name, error }) => [name, error?.code]),
    [
      ['example.com', undefined],
      ['example.net', 'USAGE'],
    ],
  )
})

await proveSilence(t)
