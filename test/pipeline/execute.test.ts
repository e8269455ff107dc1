import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { normalize } from '../../src/certificate/normalize.js'
import { CertError } from '../../src/errors.js'
import { deploy } from '../../src/pipeline/deploy.js'
import { execute, type Observer } from '../../src/pipeline/execute.js'
import { planDeployment } from '../../src/pipeline/plan.js'
import { Secret } from '../../src/secret.js'
import { StateFolder } from '../../src/state/state-folder.js'
import type { DeployTarget, Outcome, Step } from '../../src/targets/target.js'
import { deploymentsIn, mintMaterial, stepsIn } from '../deploy-world.js'

const { fullchain, key } = await mintMaterial({ names: ['example.com', '*.example.com'] })
const { bundle } = normalize({ certificates: fullchain, privateKey: new Secret(key) }, new Date())
const { signal } = new AbortController()

type Run = (signal: AbortSignal) => Outcome | Promise<Outcome>

const changed = (): Outcome => ({ status: 'changed' })
const unchanged = (): Outcome => ({ status: 'unchanged', note: 'already there' })
const refusal = new CertError('CLOUD_REFUSED', 'refused', { hint: 'ask' })
const fails = (): never => {
  throw refusal
}

/** A target whose steps are these. */
const target = (name: string, runs: Readonly<Record<string, Run>>, more: Partial<DeployTarget> = {}): DeployTarget => ({
  kind: 'test',
  identity: `test ${name}`,
  name,
  settings: { name },
  serves: [],
  observe: async () => ({ status: 'refused' }),
  plan: () => Object.entries(runs).map(([id, run]): Step => ({ id, does: `${id} ${name}`, run: async (s) => run(s) })),
  ...more,
})

const run = (targets: readonly DeployTarget[], observers: readonly Observer[] = []) =>
  execute(planDeployment(bundle, targets), signal, observers)

const statuses = ({ stages }: Awaited<ReturnType<typeof run>>): string[] =>
  stages.map(({ target, status, steps }) => `${target} ${status}: ${steps.map((step) => step.status).join(' ')}`)

t.test('steps in order, stages side by side', async (t) => {
  const order: string[] = []
  // Each waits for the other to have begun: one after the other, they would wait for ever.
  let begun = 0
  const met: (() => void)[] = []
  const meet = (): Promise<void> =>
    new Promise((resolve) => {
      met.push(resolve)
      if (++begun === 2) for (const go of met) go()
    })
  const both = (name: string): DeployTarget =>
    target(name, {
      first: async () => {
        await meet()
        order.push(`${name} first`)
        return changed()
      },
      second: () => {
        order.push(`${name} second`)
        return unchanged()
      },
    })
  const report = await run([both('a'), both('b')])
  t.equal(report.bundle, bundle)
  t.same(statuses(report), ['a changed: changed unchanged', 'b changed: changed unchanged'])
  for (const name of ['a', 'b']) t.ok(order.indexOf(`${name} first`) < order.indexOf(`${name} second`))
})

t.test('what comes after all others', async (t) => {
  const order: string[] = []
  const noted =
    (name: string, outcome: Run = changed): Run =>
    async (s) => {
      order.push(`${name} begins`)
      // As long as it takes all others to have begun.
      await new Promise((resolve) => setImmediate(resolve))
      order.push(`${name} ends`)
      return outcome(s)
    }
  const last = (name: string, outcome?: Run): DeployTarget =>
    target(name, { run: noted(name, outcome) }, { afterOthers: true })
  const others = (outcome: Run) => [target('a', { one: noted('a') }), target('b', { one: noted('b', outcome) })]
  const report = await run([last('y', fails), ...others(unchanged), last('z')])
  t.same(statuses(report), ['y failed: failed', 'a changed: changed', 'b unchanged: unchanged', 'z changed: changed'])
  t.same(order.slice(0, 2), ['a begins', 'b begins'])
  t.same(order.slice(4), ['y begins', 'y ends', 'z begins', 'z ends'], 'one after another, each by itself')

  order.length = 0
  const told: string[] = []
  const observer: Observer = { ended: ({ name }, { status }) => void told.push(`${name} ${status}`) }
  const failed = await run([...others(fails), last('z')], [observer])
  t.same(statuses(failed).slice(-1), ['z skipped: skipped'])
  t.same(told.sort(), ['a changed', 'b failed', 'z skipped'])
  t.notOk(order.includes('z begins'))
  const [skipped] = failed.stages[2]?.steps ?? []
  t.match(skipped, { isDone: false }, 'it was not tried')

  for (const [name, outcome, wasDone, status] of [
    ['done before, and nothing has changed', unchanged, true, 'unchanged'],
    ['done before, and something has changed', changed, true, 'changed'],
    ['never done', unchanged, false, 'changed'],
  ] as const) {
    const plan = planDeployment(bundle, [target('b', { one: outcome }), last('z')])
    const { stages } = await execute(plan, signal, [], undefined, (identity) => wasDone && identity === 'test z')
    t.equal(stages[1]?.status, status, name)
  }
})

t.test('what fails ends its stage and no other', async (t) => {
  const report = await run([
    target('a', { one: changed, two: fails, three: changed, four: changed }),
    target('b', { one: unchanged }),
    target('c', { one: fails }),
    target('d', { one: changed, two: unchanged }),
  ])
  t.same(statuses(report), [
    'a failed: changed failed skipped skipped',
    'b unchanged: unchanged',
    'c failed: failed',
    'd changed: changed unchanged',
  ])
  const [one, two, three] = report.stages[0]?.steps ?? []
  t.match(one, { id: 'one', does: 'one a', note: undefined })
  t.ok(Number.isInteger(one?.ms))
  t.match(two, { id: 'two', error: refusal })
  t.match(three, { id: 'three', does: 'three a', ms: 0 })
  t.notOk(three !== undefined && ('error' in three || 'note' in three))
})

t.test('whatever is thrown is reported', async (t) => {
  const odd = [new Error('a defect'), new TypeError('x is not a function'), 'text', undefined, null, { code: 'odd' }]
  for (const thrown of odd) {
    const report = await run([
      target('a', {
        one: () => {
          throw thrown
        },
      }),
    ])
    const [step] = report.stages[0]?.steps ?? []
    t.match(step, { status: 'failed', error: { code: 'INTERNAL', hint: /report what it prints/ } }, String(thrown))
  }
})

t.test('warnings are collected, each once', async (t) => {
  const warns =
    (...warnings: readonly string[]): Run =>
    () => ({ status: 'changed', warnings })
  const report = await run([
    target('a', { one: warns('x', 'y'), two: warns('x') }),
    target('b', { one: warns('y', 'z') }),
    target('c', { one: changed }),
  ])
  t.same([...report.warnings].sort(), ['x', 'y', 'z'])
})

t.test('observers are told of every step', async (t) => {
  const told: string[] = []
  const observer: Observer = {
    begun: ({ name }, { id }) => told.push(`${name} ${id} begins`),
    ended: ({ name }, { id, status }) => told.push(`${name} ${id} ${status}`),
  }
  await run([target('a', { one: changed, two: fails, three: changed })], [observer, {}, observer])
  const expected = ['a one begins', 'a one changed', 'a two begins', 'a two failed', 'a three skipped']
  t.same(
    told,
    expected.flatMap((line) => [line, line]),
  )
})

t.test('what was found is told before the step ends, also when that is nothing', async (t) => {
  const told: string[] = []
  const observer: Observer = {
    found: ({ name }, strands) => told.push(`${name} found [${strands.flat().map(({ id }) => id)}]`),
    ended: ({ name }, { id, status }) => told.push(`${name} ${id} ${status}`),
  }
  const step = (id: string, run: Step['run'], finds?: true): Step => ({ id, does: id, run, ...(finds && { finds }) })
  const bind = (place: string): Step => step(`bind ${place}`, async () => changed())
  const finding = (name: string, run: Step['run']): DeployTarget =>
    target(name, {}, { plan: () => [step('find', run, true)] })
  for (const one of [
    finding('two', async () => ({ ...unchanged(), found: [[bind('a')], [bind('b')]] })),
    finding('none', async () => ({ status: 'skipped' })),
    finding('failed', async () => fails()),
    target('plain', { one: changed }),
  ]) {
    await run([one], [observer])
  }
  t.same(told, [
    'two found [bind a,bind b]',
    'two find unchanged',
    'two bind a changed',
    'two bind b changed',
    'none found []',
    'none find skipped',
    'failed find failed',
    'plain one changed',
  ])
})

t.test('what is found twice is done once', async (t) => {
  const step = (id: string): Step => ({ id, does: id, run: async () => changed() })
  const found = ['a', 'b', 'a'].map((place) => [step(`bind ${place}`), step(`served ${place}`)])
  const finding = target('auto', {
    find: () => ({ status: 'unchanged', found }),
  })
  const report = await execute(
    { bundle, stages: [{ target: finding, steps: finding.plan(bundle, { others: [] }), strands: [[step('bind b')]] }] },
    signal,
    [],
  )
  t.same(report.stages[0]?.steps.map(({ id }) => id).sort(), ['bind a', 'bind b', 'find', 'served a', 'served b'])
})

t.test('the signal reaches every step', async (t) => {
  const abort = new AbortController()
  const plan = planDeployment(bundle, [
    target('a', {
      one: (given) => {
        t.equal(given, abort.signal)
        return changed()
      },
    }),
  ])
  await execute(plan, abort.signal, [])
})

t.test('planning', async (t) => {
  const refused = (targets: readonly DeployTarget[]): unknown => {
    try {
      return planDeployment(bundle, targets)
    } catch (error) {
      return error
    }
  }
  t.match(refused([]), { code: 'USAGE', hint: /--bucket.*--directory/ })
  const serving = (...serves: readonly string[]): DeployTarget => target('site', { one: changed }, { serves })
  t.match(refused([serving('www.example.com', 'other.example')]), {
    code: 'NAME_NOT_COVERED',
    message: 'site: the certificate does not cover other.example',
    hint: /the certificate is for example\.com, \*\.example\.com/,
  })
  t.match(refused([serving('a.b.example.com')]), { hint: /\*\.example\.com stands for exactly one label/ })
  t.equal(planDeployment(bundle, [serving('example.com', 'WWW.Example.com.')]).stages.length, 1)

  let planned = 0
  const plan = (): [] => {
    planned++
    return []
  }
  const counted = target('twice', {}, { plan })
  t.equal(planDeployment(bundle, [counted, counted]).stages.length, 1, 'the same place is one stage')
  t.equal(planned, 1)
})

const open = async (t: Test) => {
  const root = mkdtempSync(join(tmpdir(), 'acme-oss-pipeline-'))
  t.teardown(() => rmSync(root, { recursive: true, force: true }))
  return { root, state: await StateFolder.open(root) }
}

const deployTo = (state: StateFolder | CertError, targets: readonly DeployTarget[]) =>
  deploy({ bundle, targets, state, now: () => new Date(), signal, observer: {} })

t.test('deploying records before it runs, and crosses off as it goes', async (t) => {
  const { root, state } = await open(t)
  const seen: string[] = []
  const look = (): Outcome => {
    seen.push(stepsIn(root))
    t.same(readdirSync(join(root, 'locks')).sort(), ['at%20a.lock', 'at%20b.lock', 'example.com.lock'])
    return changed()
  }
  let warmed = 0
  const warmUp = (): void => {
    warmed++
    t.notOk(readdirSync(root).includes('deployments'), 'connections are opened while the disk is at work')
  }
  const report = await deployTo(state, [
    target('a', { one: look, two: changed }, { warmUp }),
    target('b', { one: fails }),
  ])
  t.equal(seen[0], 'one pending, two pending, one pending')
  t.equal(warmed, 1)
  t.same(
    report.pending.map(({ target, step, error }) => [target, step, error?.code]),
    [['b', 'one', 'CLOUD_REFUSED']],
  )
  t.equal(stepsIn(root), 'one done, two done, one failed')
  t.equal(deploymentsIn(root)[0]?.privateKey, key)
  t.same(readdirSync(join(root, 'locks')), [])

  const again = await deployTo(state, [target('b', { one: unchanged })])
  t.same(again.pending, [])
  t.equal(deploymentsIn(root)[0]?.privateKey, undefined)
})

t.test('what comes after all others is no place that others wait for', async (t) => {
  const { root, state } = await open(t)
  let locks: string[] = []
  const look = (): Outcome => {
    locks = readdirSync(join(root, 'locks')).sort()
    return changed()
  }
  const { pending } = await deployTo(state, [
    target('z', { run: look }, { afterOthers: true }),
    target('a', { one: changed }),
  ])
  t.same(locks, ['at%20a.lock', 'example.com.lock'])
  t.same(pending, [])
})

t.test('without a state folder it deploys all the same', async (t) => {
  const why = new CertError('STATE_UNUSABLE', 'the state folder cannot be used: x')
  const report = await deployTo(why, [target('a', { one: changed }), target('b', { one: fails })])
  t.same(statuses(report), ['a changed: changed', 'b failed: failed'])
  t.match(report, { pending: [], warnings: [/nothing was recorded.*the state folder cannot be used: x/] })
})

t.test('a state folder that breaks meanwhile is a warning', async (t) => {
  const { root, state } = await open(t)
  const breaks = (): Outcome => {
    rmSync(join(root, 'deployments'), { recursive: true })
    writeFileSync(join(root, 'deployments'), '')
    return changed()
  }
  const report = await deployTo(state, [target('a', { one: breaks })])
  t.same(statuses(report), ['a changed: changed'])
  t.match(report.warnings, [/the record of what is done could not be written/])
})
