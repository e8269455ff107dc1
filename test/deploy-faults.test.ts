// The network and the service at their worst: what may pass is waited for, what cannot is said at once, and what is
// left undone stays wanted.
import { spawn } from 'node:child_process'
import { readdirSync, readFileSync, rmSync } from 'node:fs'
import t, { type Test } from 'tap'
import {
  bucket,
  deploymentsIn,
  isPut,
  mintMaterial,
  openWorld,
  prefix,
  proveSilence,
  provesFiles,
  provesLayout,
  putKeys,
  resultOf,
  stepError,
  stepsIn,
  until,
  type World,
} from './deploy-world.js'
import type { Fault } from './emulator/fault.js'
import { commandLine, type RunResult } from './run-command.js'

// Most of the time is spent in waiting.
t.jobs = 3
/** A new one each time: tap keeps things of its own in it. */
const together = () => ({ buffered: true })

const material = await mintMaterial()

const passing: Readonly<Record<string, Fault>> = {
  'an error of the service': { status: 500, code: 'InternalError' },
  'a service that is busy': { status: 503, code: 'ServiceUnavailable' },
  throttling: { status: 503, code: 'UploadTrafficRateLimitExceeded' },
  'throttling with another status': { status: 400, code: 'Throttling.User' },
  'too many requests': { status: 429, code: 'TooManyRequests' },
  'a request that was too slow': { status: 400, code: 'RequestTimeout' },
  'a connection reset before the request was carried out': { reset: 'before' },
  'a connection reset when only the answer was missing': { reset: 'after' },
  "a proxy's page": { html: 502 },
  'an answer that is cut off': { cutBody: true },
}

/** In this process: what waits and tries again needs none of its own, and most of what is done here is just that. */
const deployHere = (world: World, words = world.toBucket): Promise<RunResult> =>
  world.deploy(material, words, { here: true })

const ends = (t: Test, run: RunResult, code: number): void =>
  void t.equal(run.code, code, run.code === code ? `exit ${code}` : run.stdout + run.stderr)

/** Everything is there, and nothing is left to be done. */
const provesDone = (t: Test, world: World): void => {
  provesLayout(t, world.objects, material)
  t.equal(stepsIn(world.state), 'archive done, latest done')
  t.equal(deploymentsIn(world.state)[0]?.privateKey, undefined)
}

for (const [what, fault] of Object.entries(passing)) {
  t.test(`${what} is lived through`, together(), async (t) => {
    for (const [when, here] of [
      [{ nth: [1, 3, 6, 9, 12] }, false],
      [{ every: 3 }, true],
    ] as const) {
      const world = await openWorld(t)
      const rule = world.emulator.fail(when, fault)
      ends(t, await world.deploy(material, world.toBucket, { here }), 0)
      t.ok(rule.hits >= 3, `it struck ${rule.hits} times`)
      provesDone(t, world)
    }
  })
}

t.test('all of them at random', together(), async (t) => {
  for (const seed of [1, 2, 3]) {
    const world = await openWorld(t)
    const rules = Object.values(passing).map((fault, i) =>
      world.emulator.fail({ probability: 0.04, seed: seed * 100 + i }, fault),
    )
    ends(t, await deployHere(world), 0)
    ends(t, await deployHere(world), 0)
    const hits = rules.reduce((sum, rule) => sum + rule.hits, 0)
    t.ok(hits > 0, `seed ${seed}: ${hits} faults`)
    provesDone(t, world)
  }
})

for (const [what, fault] of Object.entries(passing)) {
  t.test(`${what} is lived through where things are only read`, together(), async (t) => {
    const world = await openWorld(t)
    ends(t, await deployHere(world), 0)
    const before = world.emulator.requests.length
    world.emulator.fail({ action: 'oss:GetObject', every: 2 }, fault)
    ends(t, await deployHere(world), 0)
    t.same(putKeys(world.emulator, before), [], 'and nothing is written because of it')
  })
}

for (const nth of [1, 4, 8, 11]) {
  t.test(`request ${nth} is never answered`, together(), async (t) => {
    const world = await openWorld(t)
    const rule = world.emulator.fail({ nth }, { hang: true })
    ends(t, await world.deploy(material, [...world.toBucket, '--timeout', '6'], { here: nth > 1 }), 0)
    t.equal(rule.hits, 1)
    provesDone(t, world)
  })
}

t.test('a service that is slow', together(), async (t) => {
  const world = await openWorld(t)
  world.emulator.latency(200)
  ends(t, await world.deploy(material, [...world.toBucket, '--timeout', '30']), 0)
  provesDone(t, world)
})

const down: Readonly<Record<string, Fault>> = {
  busy: { status: 503, code: 'ServiceUnavailable' },
  reset: { reset: 'before' },
  silent: { hang: true },
  proxy: { html: 502 },
  cut: { cutBody: true },
}

for (const [what, fault] of Object.entries(down)) {
  t.test(`a service that stays down: ${what}`, together(), async (t) => {
    const world = await openWorld(t)
    const rule = world.emulator.fail({}, fault)
    const started = performance.now()
    const run = await world.deploy(material, [...world.toBucket, '--json', '--timeout', '2'])
    ends(t, run, 1)
    t.ok(performance.now() - started < 40_000, 'it gives up about when it was told to')
    const result = resultOf(run)
    t.match(result, { ok: false, error: null, stages: [{ status: 'failed', steps: [{}, { status: 'skipped' }] }] })
    const error = stepError(result)
    t.match(error, { code: 'CLOUD_UNAVAILABLE', hint: /may pass by itself|reaches/ })
    t.match(error.message, /^(putting|reading) oss:\/\/my-ssl-certs\/certs\/example\.com\//)
    t.match(result.pending, [
      { step: 'archive', next: /^\d{4}/, error: { code: 'CLOUD_UNAVAILABLE' } },
      { step: 'latest', next: null, error: null },
    ])
    t.equal(stepsIn(world.state), 'archive failed, latest pending')
    t.equal(deploymentsIn(world.state)[0]?.privateKey, material.key, 'the key is kept for the next time')
    t.ok(rule.hits > 6, 'it was tried more than once')

    rule.remove()
    ends(t, await deployHere(world), 0)
    provesDone(t, world)
  })
}

t.test('nobody listens', together(), async (t) => {
  const world = await openWorld(t)
  await world.emulator.close()
  const run = await world.deploy(material, [...world.toBucket, '--json', '--timeout', '1'])
  ends(t, run, 1)
  t.match(stepError(resultOf(run)), {
    code: 'CLOUD_UNAVAILABLE',
    message: /127\.0\.0\.1:\d+ cannot be reached \(ECONNREFUSED\)/,
    hint: /check that this machine reaches 127\.0\.0\.1/,
    vendor: null,
  })
})

t.test('what cannot pass by itself is not tried again', together(), async (t) => {
  const lasting: Readonly<Record<string, Fault>> = {
    AccessDenied: { status: 403, code: 'AccessDenied' },
    UserDisable: { status: 403, code: 'UserDisable' },
    InvalidBucketName: { status: 400, code: 'InvalidBucketName' },
    'HTTP 403': { html: 403 },
    'HTTP 404': { html: 404 },
    'HTTP 301': { html: 301 },
  }
  for (const [code, fault] of Object.entries(lasting)) {
    const world = await openWorld(t)
    world.emulator.fail({}, fault)
    const run = await deployHere(world, [...world.toBucket, '--json', '--timeout', '600'])
    ends(t, run, 1)
    const error = stepError(resultOf(run))
    t.match(error, { code: 'CLOUD_REFUSED', vendor: { code } })
    t.notMatch(error.hint, /q=$/, 'the hint leads somewhere')
    t.notMatch(error.message, /<|html/i)
    const asked = world.emulator.requests.filter(
      (request) => isPut(request) && request.key === `${prefix}${material.archive}/cert.pem`,
    )
    t.equal(asked.length, 1, code)
    t.match(resultOf(run).pending[0]?.error, { code: 'CLOUD_REFUSED', vendor: { code } })
  }
})

t.test('a page that is shown instead of the service is not taken for success', together(), async (t) => {
  const world = await openWorld(t)
  world.emulator.fail({}, { html: 200 })
  const run = await world.deploy(material, [...world.toBucket, '--json', '--timeout', '2'])
  ends(t, run, 1)
  t.equal(resultOf(run).ok, false)
  t.equal(world.objects.size, 0)
  t.equal(deploymentsIn(world.state)[0]?.privateKey, material.key)
})

t.test('Retry-After', together(), async (t) => {
  const key = `${prefix}${material.archive}/cert.pem`
  const attempts = (world: World): number[] =>
    world.emulator.requests.filter((one) => isPut(one) && one.key === key).map(({ time }) => time.getTime())
  const headers: Readonly<Record<string, () => Record<string, string>>> = {
    seconds: () => ({ 'Retry-After': '1' }),
    // The answer's own clock is two hours late, and so is the date: one second remains.
    date: () => ({
      Date: new Date(Date.now() - 7_200_000).toUTCString(),
      'Retry-After': new Date(Date.now() - 7_200_000 + 1500).toUTCString(),
    }),
  }
  for (const [what, make] of Object.entries(headers)) {
    const world = await openWorld(t)
    world.emulator.fail({ key, nth: 1 }, { status: 503, code: 'ServiceUnavailable', headers: make() })
    ends(t, await deployHere(world), 0)
    const [first = 0, second = 0, ...more] = attempts(world)
    t.ok(second - first >= 990, `${what}: ${second - first} ms`)
    t.same(more, [])
  }
  const world = await openWorld(t)
  world.emulator.fail({ key }, { status: 503, code: 'ServiceUnavailable', headers: { 'Retry-After': '3600' } })
  const started = performance.now()
  ends(t, await world.deploy(material, [...world.toBucket, '--timeout', '120']), 1)
  t.ok(performance.now() - started < 100_000, 'more than there is time for is not waited for')
  t.equal(attempts(world).length, 1)
  t.equal(putKeys(world.emulator).length, 4, 'the others are written all the same')
})

t.test('two targets, of which one fails', together(), async (t) => {
  const world = await openWorld(t)
  const words = [...world.toBucket, '--directory', world.path('tls'), '--timeout', '1']
  const rule = world.emulator.fail({}, { status: 503, code: 'ServiceUnavailable' })
  const text = await world.deploy(material, words, { terse: true })
  ends(t, text, 3)
  t.match(text.stdout, new RegExp(`^example\\.com \\([^\\n]+\\) is in place: directory ${world.path('tls')}\\n$`))
  t.match(text.stderr, /error: oss my-ssl-certs\/certs\/example\.com\/: putting [^\n]+\n {2}what to do: /)
  t.match(text.stderr, /- oss: update \S+ \(not tried\)/)
  t.match(text.stderr, /what is missing has been recorded/)
  provesFiles(t, material, (file) => readFileSync(world.path('tls', 'latest', file)))

  const json = await world.deploy(material, [...words, '--json'])
  ends(t, json, 3)
  const result = resultOf(json)
  t.match(result, {
    ok: false,
    error: null,
    stages: [
      { target: `oss ${bucket}/${prefix}`, status: 'failed' },
      { target: `directory ${world.path('tls')}`, status: 'unchanged' },
    ],
  })
  t.same(
    result.pending.map(({ target, step }) => `${target}: ${step}`),
    [`oss ${bucket}/${prefix}: archive`, `oss ${bucket}/${prefix}: latest`],
  )
  t.equal(stepsIn(world.state), 'archive failed, latest pending, archive done, latest done')

  rule.remove()
  const again = resultOf(await world.deploy(material, [...words, '--json']))
  t.match(again, { ok: true, pending: [], stages: [{ status: 'changed' }, { status: 'unchanged' }] })
  provesLayout(t, world.objects, material)
  t.equal(stepsIn(world.state), 'archive done, latest done, archive done, latest done')
  t.equal(deploymentsIn(world.state)[0]?.privateKey, undefined)
})

t.test('the other way round, and both', together(), async (t) => {
  const world = await openWorld(t)
  const words = [...world.toBucket, '--directory', world.file('a-file', ''), '--json', '--timeout', '1']
  const run = await world.deploy(material, words)
  ends(t, run, 3)
  t.match(stepError(resultOf(run)), { code: 'FOLDER_UNWRITABLE', message: /a-file: (ENOTDIR|EEXIST)/ })
  provesLayout(t, world.objects, material)
  t.equal(deploymentsIn(world.state)[0]?.privateKey, material.key)

  world.emulator.fail({}, { status: 500, code: 'InternalError' })
  const both = await world.deploy(material, words)
  ends(t, both, 1)
  t.equal(resultOf(both).pending.length, 4)

  rmSync(world.path('a-file'))
  const half = await world.deploy(material, words)
  ends(t, half, 3)
  t.same(
    resultOf(half).pending.map(({ target }) => target),
    [`oss ${bucket}/${prefix}`, `oss ${bucket}/${prefix}`],
  )
})

t.test('one request that fails takes no other with it', together(), async (t) => {
  const world = await openWorld(t)
  world.emulator.fail({ key: /chain\.pem$/ }, { status: 500, code: 'InternalError' })
  ends(t, await world.deploy(material, [...world.toBucket, '--timeout', '1']), 1)
  const there = [...world.objects.keys()].sort()
  t.same(
    there,
    ['README.md', 'cert.pem', 'privkey.pem'].map((file) => `${prefix}${material.archive}/${file}`),
    'latest/ is not begun before the archive is whole',
  )
})

for (const name of ['SIGINT', 'SIGTERM'] as const) {
  t.test(`interrupted by ${name}`, together(), async (t) => {
    for (const fault of [{ hang: true }, { status: 503, code: 'Busy', headers: { 'Retry-After': '50' } }] as const) {
      const world = await openWorld(t)
      const rule = world.emulator.fail({ method: 'PUT', key: /latest\/chain/ }, fault)
      let at = 0
      const run = await world.deploy(material, [...world.toBucket, '--json'], {
        onStart: (child) =>
          void until('the fault', () => rule.hits > 0)
            .catch((error: unknown) => t.fail(String(error)))
            .finally(() => {
              at = performance.now()
              child.kill(name)
            }),
      })
      t.ok(performance.now() - at < 15_000, 'it does not wait for what is under way')
      t.equal(run.signal, null)
      ends(t, run, 1)
      const result = resultOf(run)
      t.match(stepError(result), { code: 'INTERRUPTED', hint: /run the same command again/ })
      t.equal(stepsIn(world.state), 'archive done, latest failed')
      t.equal(deploymentsIn(world.state)[0]?.privateKey, material.key)
      t.same(readdirSync(world.path('state', 'locks')), [], 'the lock is given back')
      rule.remove()
      ends(t, await deployHere(world), 0)
      provesDone(t, world)
    }
  })
}

t.test('interrupted twice, it ends at once', together(), async (t) => {
  const world = await openWorld(t)
  const rule = world.emulator.fail({ method: 'PUT' }, { hang: true })
  const run = await world.deploy(material, world.toBucket, {
    onStart: (child) =>
      void until('a request', () => rule.hits > 0).finally(() => {
        child.kill('SIGTERM')
        child.kill('SIGTERM')
      }),
  })
  t.ok(run.signal === 'SIGTERM' || run.code === 1)
  rule.remove()
  ends(t, await deployHere(world), 0)
  provesDone(t, world)
})

t.test('interrupted while another target is done', together(), async (t) => {
  const world = await openWorld(t)
  const rule = world.emulator.fail({}, { hang: true })
  const words = [...world.toBucket, '--directory', world.path('tls'), '--json']
  const run = await world.deploy(material, words, {
    onStart: (child) =>
      void until('the directory', () => stepsIn(world.state).endsWith('archive done, latest done') && rule.hits > 0)
        .catch((error: unknown) => t.fail(String(error)))
        .finally(() => child.kill('SIGTERM')),
  })
  ends(t, run, 3)
  t.match(resultOf(run).stages, [{ status: 'failed' }, { status: 'changed' }])
})

t.test('interrupted while it waits for its input', together(), async (t) => {
  const world = await openWorld(t)
  const child = spawn(...commandLine(['deploy', '--fullchain', '-', ...world.toBucket]), {
    env: { ...process.env, ACME_OSS_STATE_DIR: world.state },
    stdio: ['pipe', 'pipe', 'pipe'],
  })
  let said = ''
  child.stderr.on('data', (piece: Buffer) => {
    said += piece
  })
  child.stdin.write(material.fullchain)
  // There is no telling from outside when it began to read.
  const asking = setInterval(() => child.kill('SIGINT'), 1500)
  const code = await new Promise((resolve) => {
    child.on('close', resolve)
  })
  clearInterval(asking)
  t.equal(code, 1)
  t.match(said, /^error: interrupted\n {2}what to do: run the same command again/)
  t.equal(world.emulator.requests.length, 0)
})

await proveSilence(t)
