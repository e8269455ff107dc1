import t from 'tap'
import type { Command } from '../../src/cli/command.js'
import { command } from '../../src/cli/deploy.js'
import type { Flags } from '../../src/cli/flag.js'
import { type Flag, list, text, variableOf } from '../../src/cli/flag.js'
import { parseCommand as parseWords } from '../../src/cli/parse.js'
import { nearest } from '../../src/nearest.js'

const flags: readonly [name: string, flag: Flag<unknown>][] = Object.entries(command.flags)

/** What a flag takes, as it is written, and as it is read. */
const sample = (name: string, which: 0 | 1): readonly [written: string, read: unknown] => {
  if (name === 'timeout') return ([['30', 30] as const, ['40', 40] as const] as const)[which]
  if (name === 'sse') return ([['KMS', 'KMS'] as const, ['SM4', 'SM4'] as const] as const)[which]
  if (name === 'verify-timeout') return ([['0', 0] as const, ['40', 40] as const] as const)[which]
  if (name === 'exec-timeout') return ([['1', 1] as const, ['90', 90] as const] as const)[which]
  if (name === 'dns-resolver')
    return ([['192.0.2.1', '192.0.2.1:53'] as const, ['192.0.2.2:5353', '192.0.2.2:5353'] as const] as const)[which]
  if (name === 'connect') return connects[which]
  return which === 0 ? ['one', 'one'] : ['two', 'two']
}

const connects = [
  ['192.0.2.1:443', { address: '192.0.2.1', port: 443 }],
  ['www.example.com=192.0.2.2:443', { host: 'www.example.com', address: '192.0.2.2', port: 443 }],
] as const

const parseCommand = async <F extends Flags>(command: Command<F>, words: readonly string[], environment: object) =>
  (await parseWords(command, words, environment as Record<string, string>)).values

t.test('every flag can be given as a variable, and beats it', async (t) => {
  t.ok(flags.length > 15)
  const none = await parseCommand(command, [], {})
  for (const [name, { kind }] of flags) {
    const variable = variableOf(name)
    t.match(variable, /^ACME_OSS_[A-Z_]+$/)
    const value = async (words: readonly string[], environment: Readonly<Record<string, string>>): Promise<unknown> =>
      (await parseCommand(command, words, environment))[name as keyof typeof none]
    if (kind === 'switch') {
      t.equal(none[name as keyof typeof none], false)
      for (const on of ['1', 'true', 'yes', 'ON'])
        t.equal(await value([], { [variable]: on }), true, `${variable}=${on}`)
      for (const off of ['0', 'false', 'no', 'off', '']) t.equal(await value([], { [variable]: off }), false)
      t.equal(await value([`--${name}`], { [variable]: '0' }), true, `--${name} beats ${variable}`)
      t.equal(await value([`--${name}=false`], { [variable]: '1' }), false)
      await t.rejects(value([], { [variable]: 'maybe' }), { code: 'USAGE', message: new RegExp(`--${name} `) })
      continue
    }
    const [written, one] = sample(name, 0)
    const [other, another] = sample(name, 1)
    const [read, beats] = kind === 'list' ? [[one], [another]] : [one, another]
    t.same(await value([], { [variable]: written }), read, variable)
    t.same(await value([`--${name}`, other], { [variable]: written }), beats, `--${name} beats ${variable}`)
    t.same(await value([`--${name}=${other}`], { [variable]: written }), beats)
    t.same(await value([], { [variable]: '' }), none[name as keyof typeof none], 'empty counts as none')
    await t.rejects(value([`--${name}`], { [variable]: written }), { code: 'USAGE', message: /without a value/ })
    if (kind === 'list') {
      t.same(await value([], { [variable]: `${written}, ${other}` }), [one, another], 'commas between')
      t.same(await value([`--${name}`, written, `--${name}`, other], {}), [one, another], 'several times')
      continue
    }
    await t.rejects(value([`--${name}`, other, `--${name}`, other], {}), { code: 'USAGE', message: /given 2 times/ })
  }
})

t.test('texts stay what they are', async (t) => {
  const { bucket, key, name } = await parseCommand(command, ['--bucket', '007', '--key', '-', '--name=a=b,c', '-v'], {
    ACME_OSS_NAME: 'x',
  })
  t.same({ bucket, key, name }, { bucket: '007', key: '-', name: 'a=b,c' })
  const odd = await parseCommand(command, ['--name', '1e5', '--prefix', 'true', '--directory', '0x10'], {})
  t.match(odd, { name: '1e5', prefix: 'true', directory: '0x10' })
})

t.test('short letters', async (t) => {
  t.match(await parseCommand(command, ['-v', '-q'], {}), { verbose: true, quiet: true })
  await t.rejects(parseCommand(command, ['-z'], {}), { code: 'USAGE' })
})

t.test('lists', async (t) => {
  const several = {
    ...command,
    flags: { domain: list('names'), name: text('a name') },
    run: async () => 0,
  }
  const domains = async (words: readonly string[], environment = {}): Promise<unknown> =>
    (await parseCommand(several, words, environment)).domain
  t.same(await domains([]), [])
  t.same(await domains(['--domain', 'a', '--domain=b,c']), ['a', 'b,c'], 'a comma belongs to the word')
  t.same(await domains([], { ACME_OSS_DOMAIN: 'a, b,,c ' }), ['a', 'b', 'c'], 'in a variable it separates')
  t.same(await domains(['--domain', 'x'], { ACME_OSS_DOMAIN: 'a,b' }), ['x'])
})

t.test('the nearest word', (t) => {
  const known = ['bucket', 'region', 'prefix', 'directory', 'state-dir', 'dry-run', 'sse', 'key', 'cert', 'chain']
  const meant: Readonly<Record<string, string | undefined>> = {
    buket: 'bucket',
    bukcet: 'bucket',
    Bucket: 'bucket',
    bucket: 'bucket',
    directry: 'directory',
    'state-dri': 'state-dir',
    dryrun: 'dry-run',
    ssl: 'sse',
    kee: 'key',
    frobnicate: undefined,
    x: undefined,
    '': undefined,
  }
  for (const [word, expected] of Object.entries(meant)) t.equal(nearest(word, known), expected, word)
  t.equal(nearest('anything', []), undefined)
  t.end()
})
