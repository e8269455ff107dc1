// --exec: a command once all other targets of a deployment are done, and only then, in whichever run that is.
import { chmodSync, existsSync, readFileSync, realpathSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { normalize } from '../../src/certificate/normalize.js'
import { Secret } from '../../src/secret.js'
import { type ExecOptions, exec } from '../../src/targets/exec.js'
import {
  deploymentsIn,
  type Material,
  openWorld,
  proveSilence,
  resultOf,
  stepError,
  type World,
  type WorldOptions,
} from '../deploy-world.js'
import { callHook, cloudDown, ends, mintSeries, resultsOf, sync, toPrefix } from '../sync/hook-call.js'

const [older, newer] = (await mintSeries(2)) as [Material, Material]

interface Call {
  readonly words: readonly string[]
  readonly variables: Readonly<Record<string, string>>
}

interface ExecWorld extends World {
  readonly note: string
  readonly to: string
  /** What the command was called with since the last look, and in which environment. */
  calls(): Call[]
}

/** A world with a program that writes down how it is called. */
const openExecWorld = async (t: Test, options: WorldOptions = {}): Promise<ExecWorld> => {
  const world = await openWorld(t, { here: true, ...options })
  const log = world.path('calls')
  const note = world.file(
    'note',
    `#!/bin/sh
{ for word; do printf '%s\\036' "$word"; done; printf '\\035'; env -0 | tr '\\0' '\\036'; printf '\\034'; } >>'${log}'
`,
  )
  chmodSync(note, 0o755)
  const parts = (text: string): string[] => text.split('\u001e').slice(0, -1)
  return {
    ...world,
    note,
    to: world.path('to'),
    calls: () => {
      const text = existsSync(log) ? readFileSync(log, 'utf8') : ''
      rmSync(log, { force: true })
      return text
        .split('\u001c')
        .slice(0, -1)
        .map((call) => {
          const [words = '', variables = ''] = call.split('\u001d')
          const pairs = parts(variables).map((one) => [one.split('=')[0], one.slice(one.indexOf('=') + 1)])
          return { words: parts(words), variables: Object.fromEntries(pairs) }
        })
    },
  }
}

const archivesOf = (calls: readonly Call[]): (string | undefined)[] =>
  calls.map(({ variables }) => variables['ACME_OSS_ARCHIVE'])

type Stages = readonly { readonly target: string; readonly status: string }[]

const lines = ({ stages }: { readonly stages: Stages }): string[] =>
  stages.map(({ target, status }) => `${target.split(' ')[0]} ${status}`)

const steps = (world: World): string[] =>
  deploymentsIn(world.state).map(({ record }) =>
    Object.values(record.targets)
      .map(({ kind, steps: all }) => `${kind} ${Object.values(all).map(({ status }) => status)}`)
      .join('; '),
  )

type Target = {
  readonly kind: string
  readonly steps: Readonly<Record<string, { readonly status: string; readonly next?: string }>>
}

/** The only record, as somebody else or another day would have it. */
const editRecord = (world: World, kind: string, edit: (target: Target) => Target): void => {
  const [only] = deploymentsIn(world.state)
  const targets = Object.entries(only?.record.targets ?? {}).map(([identity, target]) => [
    identity,
    target.kind === kind ? edit(target) : target,
  ])
  const file = join(world.state, 'deployments', only?.folder ?? '', 'record.json')
  writeFileSync(file, JSON.stringify({ ...only?.record, targets: Object.fromEntries(targets) }))
}

t.test('it is told of the certificate, and nothing of how that got there', async (t) => {
  const world = await openExecWorld(t)
  const { key } = world
  const words = ['--directory', world.to, '--exec', `${world.note} "a b" ; $(touch ran) * '' $HOME`]
  const environment = {
    Ali_Key: key.id,
    Ali_Secret: key.secret,
    OSS_ACCESS_KEY_SECRET: key.secret,
    ALICLOUD_SECRET_KEY: key.secret,
    ACME_OSS_SSE: 'KMS',
    ACME_OSS_EXEC_TIMEOUT: '30',
    LANG: 'C',
  }
  const run = await world.deploy(older, [...world.toBucket, ...words, '--json'], { here: false, environment })
  ends(t, run, 0)
  const result = resultOf(run)
  t.same(lines(result), ['oss changed', 'directory changed', 'exec changed'])
  const [only, ...more] = world.calls()
  if (only === undefined) throw new Error('it was not called')
  t.same(more, [])
  t.same(only.words, ['a b', ';', '$(touch', 'ran)', '*', '', '$HOME'], 'the words as they stand, by no shell')
  const { variables } = only
  const ours = Object.entries(variables).filter(([name]) => /ALI|OSS/i.test(name))
  t.same(Object.fromEntries(ours), {
    ACME_OSS_NAME: 'example.com',
    ACME_OSS_NAMES: 'example.com,www.example.com',
    ACME_OSS_ARCHIVE: older.archive,
    ACME_OSS_SHA256: older.x509.fingerprint256.replaceAll(':', '').toLowerCase(),
    ACME_OSS_DIRECTORY: realpathSync(world.path('to', older.archive)),
  })
  t.match(variables, { PATH: process.env['PATH'], HOME: '/nonexistent', LANG: 'C' })
  t.notOk(Object.values(variables).some((value) => value.includes(key.secret)))
  const [recorded] = deploymentsIn(world.state)
  t.equal(recorded?.privateKey, undefined, 'nothing is left to do')

  await t.test('again only where something has changed', async (t) => {
    const again = [...world.toBucket, ...words]
    ends(t, await world.deploy(older, again), 0)
    const repeat = resultOf(await callHook(world, older, { words: [...again, '--json'] }))
    t.same(lines(repeat), ['oss unchanged', 'directory unchanged', 'exec unchanged'])
    t.match(repeat.stages[2]?.steps[0], { note: 'nothing has changed since it was done', error: null })
    t.same(world.calls(), [])
    rmSync(world.to, { recursive: true })
    ends(t, await world.deploy(older, again), 0)
    t.same(archivesOf(world.calls()), [older.archive])
    ends(t, await world.deploy(older, ['--directory', world.to, '--exec', `${world.note} twice`]), 0)
    t.match(world.calls(), [{ words: ['twice'] }], 'another command is not done yet')
    ends(t, await world.deploy(newer, again), 0)
    t.same(archivesOf(world.calls()), [newer.archive])
  })
})

t.test('not before all others are done, whichever run does them', async (t) => {
  const world = await openExecWorld(t)
  const blocked = world.file('blocked', '')
  const words = [...world.toBucket, '--directory', `${blocked}/to`, '--exec', world.note, '--json']
  const cloud = cloudDown(world)
  const none = await world.deploy(older, words)
  ends(t, none, 1)
  t.same(lines(resultOf(none)), ['oss failed', 'directory failed', 'exec skipped'])
  t.same(
    resultOf(none).pending.map(({ target, next, error }) => [target?.split(' ')[0], next === null, error?.code]),
    [
      ['oss', false, 'CLOUD_UNAVAILABLE'],
      ['oss', true, undefined],
      ['directory', false, 'FOLDER_UNWRITABLE'],
      ['directory', true, undefined],
      ['exec', true, undefined],
    ],
  )
  const idle = resultsOf(await sync(world, ['--json']))
  t.same(idle.results.map(lines), [[]], 'it is not due by itself')
  cloud.remove()
  editRecord(world, 'oss', ({ steps: { archive, ...rest }, ...more }) => ({
    ...more,
    steps: { archive: { status: 'failed', ...archive, next: new Date(0).toISOString() }, ...rest },
  }))
  const due = await sync(world, ['--json'])
  t.same(resultsOf(due).results.map(lines), [['oss changed']], 'not all of the others are due')
  // Of a version that is not installed any more.
  editRecord(world, 'directory', (target) => ({ ...target, kind: 'folder' }))
  const strange = await sync(world, ['--now', '--json'])
  t.same(resultsOf(strange).results.map(lines), [['directory failed']])
  editRecord(world, 'folder', (target) => ({ ...target, kind: 'directory' }))
  const half = await sync(world, ['--now', '--json'])
  ends(t, half, 1)
  t.same(resultsOf(half).results.map(lines), [['directory failed', 'exec skipped']])
  t.same(steps(world), ['oss done,done; directory failed,pending; exec pending'])
  t.same(world.calls(), [])
  rmSync(blocked)
  const rest = await sync(world, ['--now', '--json'])
  ends(t, rest, 0)
  t.same(resultsOf(rest).results.map(lines), [['directory changed', 'exec changed']], 'in the run that does the last')
  t.match(world.calls(), [{ variables: { ACME_OSS_DIRECTORY: realpathSync(world.path('blocked/to', older.archive)) } }])
  t.same(resultsOf(await sync(world, ['--now', '--json'])).results, [])
  t.same(world.calls(), [])
  t.match(await world.run(['status']), { code: 0 }, 'nothing needs a person')
})

t.test('a command that fails is tried again, and is all that is', async (t) => {
  const world = await openExecWorld(t)
  const reload = world.path('reload')
  const words = ['--directory', world.to, '--exec', `${reload} now`, '--json']
  const absent = await world.deploy(older, words)
  ends(t, absent, 3)
  t.match(stepError(resultOf(absent)), { code: 'PROGRAM_FAILED', message: /cannot be started \(ENOENT\)/ })
  writeFileSync(reload, '#!/bin/sh\necho "port $1 is taken" >&2\nexit 7\n', { mode: 0o755 })
  const failing = await sync(world, ['--now', '--json'])
  ends(t, failing, 1)
  t.same(resultsOf(failing).results.map(lines), [['exec failed']])
  const [open] = resultsOf(failing).results.flatMap(({ pending }) => pending)
  t.match(open, { step: 'run', error: { code: 'PROGRAM_FAILED', message: /status 7: port now is taken$/ } })
  const pause = Date.parse(open?.next ?? '') - Date.now()
  t.ok(pause > 0 && pause < 3_600_000, 'soon: it may pass by itself')
  ends(t, await sync(world, []), 0)
  t.match(await world.run(['status']), { code: 1, stdout: /exec \S+reload now: failed/ })
  writeFileSync(reload, `#!/bin/sh\nexec '${world.note}'\n`)
  // Half done before, and asked for again with nothing changed: it is wanted still.
  const again = await world.deploy(older, words)
  t.same(lines(resultOf(again)), ['directory unchanged', 'exec changed'])
  t.same(archivesOf(world.calls()), [older.archive])

  await t.test('and not once it was mended by giving another one', async (t) => {
    const wrong = ['--directory', world.to, '--exec', world.path('mistyped')]
    ends(t, await world.deploy(older, wrong), 3)
    ends(t, await world.deploy(older, ['--directory', world.path('elsewhere'), '--exec', world.note]), 0)
    t.equal(resultsOf(await sync(world, ['--now', '--json'])).results.length, 1, 'that was after another place')
    ends(t, await world.run(['forget', 'example.com', `directory ${world.path('elsewhere')}`]), 0)
    ends(t, await world.deploy(older, ['--directory', world.to, '--exec', world.note]), 0)
    t.same(resultsOf(await sync(world, ['--now', '--json'])).results, [])
  })
})

t.test('it is ended when its time is up, or the run is', async (t) => {
  const { bundle } = normalize({ certificates: older.fullchain, privateKey: Secret.material(older.key) }, new Date())
  const runs = async (options: Partial<ExecOptions>, signal = new AbortController().signal) => {
    const { PATH } = process.env
    const plain = { isForShell: false, timeout: 60_000, settings: {}, environment: { PATH } }
    const target = exec({ command: 'sleep 30', ...plain, ...options })
    await target.plan(bundle, { others: [] })[0]?.run(signal)
  }
  await t.rejects(runs({ timeout: 50 }), {
    code: 'PROGRAM_FAILED',
    message: /sleep did not end within 0 s/,
    passing: true,
  })
  await t.rejects(runs({}, AbortSignal.abort()), { code: 'INTERRUPTED' })
  const abort = new AbortController()
  const running = runs({}, abort.signal)
  abort.abort()
  await t.rejects(running, { code: 'INTERRUPTED' })
})

t.test('for a certificate that another one has taken the place of it is not run', async (t) => {
  const world = await openExecWorld(t)
  const broken = ['--exec', world.path('no-such-program')]
  const to = ['--directory', world.to]
  ends(t, await world.deploy(older, [...to, ...broken]), 3)
  ends(t, await world.deploy(newer, ['--directory', world.path('elsewhere')]), 0)
  t.ok(steps(world).includes('directory done,done; exec failed'), 'the older one is still in use where it was put')
  ends(t, await world.deploy(newer, to), 0)
  t.ok(steps(world).includes('directory done,done; exec superseded'))
  t.same(resultsOf(await sync(world, ['--now', '--json'])).results, [])

  await t.test('nor for one that is wanted nowhere any more', async (t) => {
    ends(t, await world.deploy(newer, [...to, ...broken]), 3)
    ends(t, await world.run(['forget', 'example.com', 'directory']), 0)
    t.ok(
      steps(world).some((one) => one.endsWith('exec forgotten')),
      steps(world).join(' | '),
    )
  })
})

t.test('the folder that it is told of is one where this certificate is', async (t) => {
  const world = await openExecWorld(t)
  const into = (folder: string) => ['--directory', world.path(folder)]
  const reload = world.path('reload')
  const mend = () => writeFileSync(reload, `#!/bin/sh\nexec '${world.note}'\n`, { mode: 0o755 })
  const told = () => world.calls().map(({ variables }) => variables['ACME_OSS_DIRECTORY'])
  ends(t, await world.deploy(older, [...into('forgotten'), '--exec', reload]), 3)
  ends(t, await world.run(['forget', 'example.com', `directory ${world.path('forgotten')}`]), 0)
  ends(t, await world.deploy(older, [...into('first'), '--exec', reload]), 3)
  mend()
  ends(t, await sync(world, ['--now']), 0)
  t.same(told(), [realpathSync(world.path('first', older.archive))], 'not one that was forgotten')

  rmSync(reload)
  ends(t, await world.deploy(older, [...into('second'), '--exec', reload]), 3)
  ends(t, await world.deploy(newer, into('first')), 0)
  mend()
  ends(t, await sync(world, ['--now']), 0)
  t.same(told(), [realpathSync(world.path('second', older.archive))], 'not one that a newer certificate has taken')
})

t.test('a newer certificate elsewhere does not keep it from being run where this one is still to come', async (t) => {
  const world = await openExecWorld(t)
  const blocked = world.file('blocked', '')
  const exec = ['--exec', world.note]
  ends(t, await world.deploy(older, ['--directory', `${blocked}/to`, ...exec]), 1)
  ends(t, await world.deploy(newer, ['--directory', world.to, ...exec]), 0)
  t.same(archivesOf(world.calls()), [newer.archive])
  rmSync(blocked)
  ends(t, await sync(world, ['--now']), 0)
  t.same(archivesOf(world.calls()), [older.archive])
})

t.test('for a certificate that comes to no place, since newer ones are there, it is not run', async (t) => {
  const world = await openExecWorld(t)
  // Of another machine: nothing here tells of it.
  const environment = { ACME_OSS_STATE_DIR: world.path('other-state') }
  const to = ['--directory', world.to]
  const free = ['--directory', world.path('free')]
  const exec = ['--exec', world.note, '--json']
  ends(t, await world.deploy(newer, to, { environment }), 0)
  ends(t, await world.deploy(older, free), 0)
  const none = await world.deploy(older, [...to, ...exec])
  ends(t, none, 0)
  t.same(lines(resultOf(none)), ['directory changed', 'exec unchanged'], 'archived, and no more')
  t.match(resultOf(none).stages[1]?.steps[0], { note: /another certificate is in every place/, error: null })
  t.same(world.calls(), [])
  ends(t, await world.deploy(older, [...free, ...exec]), 0)
  t.same(archivesOf(world.calls()), [older.archive], 'it is not done for that')
  ends(t, await world.deploy(older, [...world.toBucket, ...to, ...exec]), 0)
  const [only] = world.calls()
  t.equal(only?.variables['ACME_OSS_ARCHIVE'], older.archive, 'it came to one of two')
  t.equal(only?.variables['ACME_OSS_DIRECTORY'], undefined, 'which is no folder')

  for (const [folder, runs, name] of [
    [world.to, [], 'nor later'],
    [world.path('free too'), [older.archive], 'it is in a place already'],
  ] as const) {
    const state = { environment: { ACME_OSS_STATE_DIR: world.path('state of', name) } }
    const cloud = cloudDown(world)
    const words = [...toPrefix(world, `${runs.length}/`), '--directory', folder]
    t.match(await world.deploy(older, [...words, ...exec], state), { code: /[13]/ })
    cloud.remove()
    ends(t, await world.deploy(newer, toPrefix(world, `${runs.length}/`), { environment }), 0)
    world.calls()
    const rest = await sync(world, ['--now', '--json'], state)
    ends(t, rest, 0)
    t.same(resultsOf(rest).results.map(lines), [['oss changed', `exec ${runs.length ? 'changed' : 'unchanged'}`]])
    t.same(archivesOf(world.calls()), runs, name)
  }
})

t.test('rollback runs it for the certificate that is put back', async (t) => {
  const world = await openExecWorld(t)
  const words = ['--directory', world.to, '--exec', world.note]
  ends(t, await world.deploy(older, ['--directory', world.to, '--exec', `${world.note} former`]), 0)
  ends(t, await world.deploy(newer, words), 0)
  ends(
    t,
    await world.deploy(newer, ['--directory', world.path('of another'), '--exec', world.note, '--name', 'another']),
    0,
  )
  t.same(archivesOf(world.calls()), [older.archive, newer.archive, newer.archive])
  ends(t, await world.run(['rollback', 'example.com', '--no-verify']), 0)
  const back = world.calls()
  t.same(archivesOf(back), [older.archive])
  t.same(back[0]?.words, [], 'that of the last certificate, and not the one before')
  const forth = ['rollback', ...words, '--to', newer.archive, '--no-verify']
  ends(t, await world.run(forth), 0)
  t.match(world.calls(), [{ variables: { ACME_OSS_NAME: 'example.com', ACME_OSS_ARCHIVE: newer.archive } }])
  t.match(await world.run(['history', 'example.com']), { code: 0, stdout: new RegExp(older.archive) })
})

t.test('nothing has to be recorded for it', async (t) => {
  const world = await openExecWorld(t)
  const environment = { ACME_OSS_STATE_DIR: world.file('no-folder', '') }
  for (const _again of [1, 2]) {
    const run = await world.deploy(older, ['--directory', world.to, '--exec', world.note], { environment })
    ends(t, run, 0)
    t.match(run.stderr, 'nothing was recorded')
  }
  t.same(archivesOf(world.calls()), [older.archive, older.archive])
})

t.test('in the configuration, and beside it', async (t) => {
  const world = await openExecWorld(t)
  t.match(await world.deploy(older, ['--exec', 'true']), { code: 2, stderr: /where the certificate is to go/ })
  const config = (...targets: readonly string[]): string =>
    world.file(
      'acme-oss.yaml',
      `certificates:\n  example.com:\n    domains: [example.com, www.example.com]\n    deploy:\n${targets.map((one) => `      - ${one}\n`).join('')}`,
    )
  const path = config(
    'exec: { command: "printf x >>$ACME_OSS_DIRECTORY/../ran", shell: true, timeout: 5 }',
    'directory: { path: to }',
    `exec:\n          command: |\n            ${world.note}\n              folded`,
  )
  const given = ['--config', path]
  const first = await world.deploy(older, [...given, '--json'])
  ends(t, first, 0)
  t.same(
    lines(resultOf(first)),
    ['exec changed', 'directory changed', 'exec changed'],
    'wherever in the list it stands',
  )
  t.equal(readFileSync(world.path('to', 'ran'), 'utf8'), 'x')
  t.match(world.calls(), [{ words: ['folded'] }])

  await t.test('a flag adds one to the list, and does not take its place', async (t) => {
    const planned = await world.deploy(older, [...given, '--exec', 'nginx -s reload', '--dry-run'], {
      environment: { ALIBABA_CLOUD_ACCESS_KEY_ID: undefined },
    })
    t.match(planned, { code: 0, stdout: /^directory .*\n {2}1\. archive/m })
    t.match(planned.stdout, /^exec nginx -s reload\n {2}1\. run nginx -s reload$/m)
    t.match(planned.stdout, /^exec sh -c 'printf x >>\$ACME_OSS_DIRECTORY\/\.\.\/ran'$/m)
    t.match(await world.run(['policy', ...given, '--exec', 'true']), { code: 0, stderr: /no policy is needed/ })
    t.match(await world.run(['config', 'paths', ...given]), { code: 0, stdout: `${world.to}\n` })
    t.same(world.calls(), [])
  })

  await t.test('refusals', async (t) => {
    const refused: readonly (readonly [readonly string[], RegExp])[] = [
      [['--directory', world.to, '--exec-shell'], /--exec-shell is about a command/],
      [['--directory', world.to, '--exec', '"nginx'], /quote without its end/],
      [['--directory', world.to, '--exec', 'true', '--exec-timeout', '0'], /from 1 to 86400/],
    ]
    for (const [words, stderr] of refused) t.match(await world.deploy(older, words), { code: 2, stderr })
    const wrong: readonly (readonly [string, RegExp])[] = [
      ['exec: { command: "\'nginx" }', /yaml:\d+.*quote without its end/],
      ['exec: { shell: true }', /needs a command/],
      ['exec: { command: " " }', /has to hold a command/],
      ['exec: { command: true }', /has to be a text/],
      ['exec: { command: "true", timeout: 0 }', /has to be from 1 to 86400/],
      ['exec: { command: "true", timeout: soon }', /has to be a number/],
    ]
    for (const [target, stderr] of wrong) {
      t.match(await world.run(['config', 'check', '--config', config(target)]), { code: 2, stderr }, target)
    }
  })
})

t.test('what it is called', async (t) => {
  const named = (command: string, isForShell = false): string =>
    exec({ command, isForShell, timeout: 1, settings: {}, environment: {} }).name
  t.equal(named('nginx -s reload'), 'exec nginx -s reload')
  t.equal(named('true && false', true), "exec sh -c 'true && false'")
  const long = `/usr/local/bin/reload ${'x'.repeat(80)}`
  t.match(named(long), /^exec \/usr\/local\/bin\/reload x{38}… \([0-9a-f]{6}\)$/)
  t.not(named(long), named(`${long}y`), 'another command has another name')
  t.match(named('a\n  b'), /^exec a b… \([0-9a-f]{6}\)$/, 'one line')
})

await proveSilence(t)
