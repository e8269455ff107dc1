import { ChildProcess } from 'node:child_process'
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import t from 'tap'
import { CertError } from '../src/errors.js'
import { type ProgramOptions, runProgram, splitWords } from '../src/program.js'

const { PATH } = process.env

const run = (words: readonly string[], options: Partial<ProgramOptions> = {}): Promise<string> =>
  runProgram(words, { environment: { PATH }, timeout: 20_000, signal: new AbortController().signal, ...options })

const refusal = async (running: Promise<unknown>): Promise<CertError> => {
  try {
    await running
  } catch (error) {
    if (error instanceof CertError) return error
    throw error
  }
  throw new Error('it did not fail')
}

t.test('words', async (t) => {
  const cases: readonly [string, readonly string[]][] = [
    ['a', ['a']],
    ['  a   b\tc\n', ['a', 'b', 'c']],
    [`'a b' "c d"`, ['a b', 'c d']],
    [`a'b c'd"e f"g`, ['ab cde fg']],
    [`a '' "" b`, ['a', '', '', 'b']],
    [`""`, ['']],
    [`"it's" '"quoted"'`, [`it's`, '"quoted"']],
    [String.raw`a\ b \'c\' \"d\" \\`, ['a b', `'c'`, '"d"', '\\']],
    [String.raw`"a \"b\" \\ \$x \n"`, [String.raw`a "b" \ $x \n`]],
    [String.raw`'a \ b'`, [String.raw`a \ b`]],
    [`$HOME \`id\` $(id) *.txt ~ a;b c|d & > e #f {g,h}`, '$HOME `id` $(id) *.txt ~ a;b c|d & > e #f {g,h}'.split(' ')],
    ["'two\nlines'", ['two\nlines']],
    ['ünïcödé "日 本"', ['ünïcödé', '日 本']],
    [String.raw`a\ `, ['a ']],
  ]
  for (const [command, words] of cases) t.same(splitWords(command, 'exec-auth'), words, command)

  for (const command of [`'a`, `a "b`, `a 'b "c"`, `a"b`, `'a' 'b' "`, `a "b\\"`]) {
    const error = await refusal((async () => splitWords(command, 'exec-auth'))())
    t.match(error, { code: 'USAGE', message: /--exec-auth has a quote without its end/, hint: /quote/ }, command)
  }
  for (const command of ['', '   ', '\n']) {
    const error = await refusal((async () => splitWords(command, 'exec-cleanup'))())
    t.match(error, { code: 'USAGE', message: /--exec-cleanup names no program/ })
  }
  const long = `"${'x'.repeat(200_000)}" ${'y '.repeat(50_000)}`
  t.equal(splitWords(long, 'exec-auth').length, 50_001, 'a long one')
})

t.test('a program', async (t) => {
  t.equal(
    await run(['printf', '%s|', 'a b', '', '$HOME', '*', `'"`]),
    `a b||$HOME|*|'"|`,
    'its words go in as they are',
  )
  t.equal(await run(['sh', '-c', 'echo one; echo two >&2; echo three']), 'one\nthree', 'what it printed')
  t.equal(await run(['true']), '')
  t.equal(await run(['cat']), '', 'there is nothing to be read')
  const much = await run(['sh', '-c', 'i=0; while [ $i -lt 20000 ]; do echo "line $i"; i=$((i+1)); done'])
  t.equal(much.split('\n').length, 20_000, 'much of it')
})

t.test('its environment is what it is given, and nothing else', async (t) => {
  process.env['ACME_OSS_TEST_LEAK'] = 'leaked'
  t.teardown(() => {
    delete process.env['ACME_OSS_TEST_LEAK']
  })
  const environment = { PATH, GIVEN: 'two\nlines', UNSET: undefined, EMPTY: '' }
  const seen = JSON.parse(
    await run([process.execPath, '-e', 'process.stdout.write(JSON.stringify(process.env))'], { environment }),
  ) as Record<string, string>
  const own = Object.entries(seen).filter(([name]) => !/^(_TAPJS_|NODE_OPTIONS$)/.test(name))
  t.same(Object.fromEntries(own), { PATH, GIVEN: 'two\nlines', EMPTY: '' })
})

t.test('a program that fails', async (t) => {
  t.match(await refusal(run(['sh', '-c', 'exit 3'])), {
    code: 'PROGRAM_FAILED',
    message: 'sh ended with status 3',
    hint: /by hand/,
  })
  const last = await refusal(
    run(['sh', '-c', 'echo out; echo first >&2; echo "  the last line  " >&2; echo >&2; exit 1']),
  )
  t.equal(last.message, 'sh ended with status 1: the last line')
  t.equal((await refusal(run(['sh', '-c', 'echo only this; exit 1']))).message, 'sh ended with status 1: only this')
  t.ok((await refusal(run(['sh', '-c', 'printf %01000d 7; exit 1']))).message.length < 400, 'not too much of it')
  t.match((await refusal(run(['sh', '-c', 'kill -9 $$']))).message, /^sh was ended by SIGKILL/)
})

t.test('what it left in the background keeps nobody waiting', async (t) => {
  const start = performance.now()
  t.equal(await run(['sh', '-c', 'setsid sleep 20 & echo done']), 'done')
  t.ok(performance.now() - start < 15_000, 'its pipes are still held open')
})

t.test('a program that is none', async (t) => {
  t.match((await refusal(run(['/nowhere/at/all']))).message, '/nowhere/at/all cannot be started (ENOENT)')
  t.match((await refusal(run(['no-such-program-anywhere']))).message, /cannot be started \(ENOENT\)/)
  t.match((await refusal(run(['']))).message, /cannot be started/)
  const folder = mkdtempSync(join(tmpdir(), 'acme-oss-program-'))
  t.teardown(() => rmSync(folder, { recursive: true }))
  writeFileSync(join(folder, 'text'), 'not a program', { mode: 0o644 })
  t.match((await refusal(run([join(folder, 'text')]))).message, /cannot be started \(EACCES\)/)
})

t.test('an interruption while a program cannot be started ends nobody else', async (t) => {
  // Until the next turn of the loop, Node has a handle of such a child but no process id for it: what a signal to it
  // reaches is our whole process group (id 0), or whatever else lies in that memory.
  const { kill } = ChildProcess.prototype
  const strays: string[] = []
  ChildProcess.prototype.kill = function (this: ChildProcess, signal) {
    if (this.pid !== undefined) return kill.call(this, signal)
    strays.push(`${signal} to nobody`)
    return false
  }
  const killings = t.capture(process, 'kill', () => true)
  t.teardown(() => {
    ChildProcess.prototype.kill = kill
  })
  for (let ticks = 0; ticks < 60; ticks++) {
    const interruption = new AbortController()
    const running = refusal(run(['/nowhere/at/all'], { signal: interruption.signal }))
    for (let i = 0; i < ticks; i++) await undefined
    interruption.abort()
    t.match((await running).message, /interrupted|cannot be started/)
  }
  t.same(strays, [])
  t.same(
    killings().map(({ args }) => args),
    [],
  )
})

t.test('a program that does not end', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'acme-oss-program-'))
  t.teardown(() => rmSync(folder, { recursive: true }))
  const cases: readonly [string, readonly string[]][] = [
    ['that ends when told', ['sleep', '30']],
    ['whose child holds on to its output', ['sh', '-c', 'sleep 30; echo late']],
    ['that will not hear of it', ['sh', '-c', 'trap "" TERM; while :; do sleep 1; done']],
  ]
  await Promise.all(
    cases.map(async ([what, words]) => {
      const begin = performance.now()
      const error = await refusal(run(words, { timeout: 1000 }))
      t.match(error, { code: 'PROGRAM_FAILED', message: `${words[0]} did not end within 1 s` }, what)
      const took = performance.now() - begin
      t.ok(took >= 990 && took < 20_000, `${what}: ${Math.round(took)} ms`)
    }),
  )

  t.test('is ended when we are', async (t) => {
    const begun = join(folder, 'begun')
    const ended = join(folder, 'ended')
    const script = `trap 'echo ended > "${ended}"; exit 1' TERM; echo begun > "${begun}"; while :; do sleep 0.1; done`
    const interruption = new AbortController()
    const running = refusal(run(['sh', '-c', script], { signal: interruption.signal }))
    while (!existsSync(begun)) await sleep(10)
    const begin = performance.now()
    interruption.abort()
    t.match(await running, { code: /^(INTERRUPTED|PROGRAM_FAILED)$/, message: /interrupted/ })
    t.ok(performance.now() - begin < 20_000)
    t.equal(readFileSync(ended, 'utf8'), 'ended\n', 'and could say good-bye')
    t.match(
      await refusal(run(['true'], { signal: interruption.signal })),
      { message: /interrupted/ },
      'or is not begun',
    )
  })
})
