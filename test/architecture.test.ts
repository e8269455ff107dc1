import { readdirSync, readFileSync } from 'node:fs'
import { builtinModules } from 'node:module'
import { dirname, join, relative, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import t from 'tap'
import * as library from '../src/index.js'
import { version } from '../src/version.js'

const root = fileURLToPath(new URL('../..', import.meta.url))
const source = join(root, 'src')

/** From the top down: an import only ever goes down this list, or stays in its room. */
const rooms = [
  'cli',
  'index.ts',
  'monitor',
  'pipeline',
  'sources',
  'issuer',
  'targets',
  'proof',
  'https',
  'solvers',
  'aliyun',
  'state',
  'config',
  'certificate',
  'floor',
]

interface Import {
  readonly from: string
  /** A file of ours, or the name of a package. */
  readonly to: string
  readonly isOurs: boolean
  readonly isType: boolean
}

const files = readdirSync(source, { recursive: true, encoding: 'utf8' }).filter((file) => file.endsWith('.ts'))

const roomOf = (file: string): string => {
  if (file === 'index.ts') return file
  return file.includes('/') ? (file.split('/')[0] as string) : 'floor'
}

const importsOf = (file: string): Import[] => {
  const text = readFileSync(join(source, file), 'utf8')
  const statements = [
    ...text.matchAll(/^(?:import|export)\s+(type\s)?[^'"]*?from\s+'([^']+)'/gm),
    ...text.matchAll(/^import\s+()'([^']+)'/gm),
    ...text.matchAll(/\bimport\(()\s*'([^']+)'\s*\)/g),
  ]
  return statements.map(([, type, specifier = '']) => {
    const isOurs = specifier.startsWith('.')
    const path = relative(source, resolve(source, dirname(file), specifier)).replace(/\.js$/, '.ts')
    const name = specifier
      .split('/')
      .slice(0, specifier.startsWith('@') ? 2 : 1)
      .join('/')
    return { from: file, to: isOurs ? path : name, isOurs, isType: type !== undefined && type !== '' }
  })
}

const imports = files.flatMap(importsOf)
const isBuiltin = (name: string): boolean => name.startsWith('node:') || builtinModules.includes(name)

t.test('the imports are found', async (t) => {
  t.ok(files.length > 50)
  t.ok(imports.some(({ from, to }) => from === 'certificate/normalize.ts' && to === 'certificate/chain.ts'))
  t.ok(imports.some(({ from, to }) => from === 'aliyun/oss-request.ts' && to === 'ali-oss'))
  t.ok(
    imports.some(({ from, to }) => from === 'cli/main.ts' && to === 'cli/deploy.ts'),
    'lazy ones, too',
  )
  for (const { from, to, isOurs } of imports)
    if (isOurs) t.ok(files.includes(to), `${from} imports ${to}, which is there`)
})

t.test('an import only ever goes down', async (t) => {
  for (const file of files) t.ok(rooms.includes(roomOf(file)), `${file} stands in a room`)
  const upward = imports.filter(
    ({ from, to, isOurs }) => isOurs && rooms.indexOf(roomOf(to)) < rooms.indexOf(roomOf(from)),
  )
  t.same(upward, [])
})

t.test('no circles', async (t) => {
  const next = new Map(
    files.map((file) => [file, imports.filter((one) => one.isOurs && one.from === file).map(({ to }) => to)]),
  )
  const done = new Set<string>()
  const visit = (file: string, path: readonly string[]): void => {
    if (path.includes(file)) t.fail(`a circle: ${[...path, file].join(' -> ')}`)
    else if (!done.has(file)) for (const to of next.get(file) ?? []) visit(to, [...path, file])
    done.add(file)
  }
  for (const file of files) visit(file, [])
  t.equal(done.size, files.length)
})

t.test('the flow knows interfaces only', async (t) => {
  const adapters = imports.filter(
    ({ from, to, isOurs }) =>
      isOurs &&
      roomOf(from) === 'pipeline' &&
      ['targets', 'sources', 'issuer', 'https', 'solvers', 'aliyun'].includes(roomOf(to)) &&
      !['targets/target.ts', 'sources/source.ts'].includes(to),
  )
  t.same(adapters, [])
})

t.test('tables are read by the command line and by the face of the library alone', async (t) => {
  const readers = imports.filter(
    ({ from, to, isOurs }) => isOurs && /\/index\.ts$/.test(to) && !['cli', 'index.ts'].includes(roomOf(from)),
  )
  t.same(readers, [])
})

t.test('one npm package, one door', async (t) => {
  const packages = imports.filter(({ to, isOurs }) => !isOurs && !isBuiltin(to))
  const doors = new Map<string, Set<string>>()
  for (const { from, to } of packages) doors.set(to, (doors.get(to) ?? new Set()).add(from))
  for (const [name, from] of doors) t.equal(from.size, 1, `${name} comes in through ${[...from].join(' and ')}`)
  const manifest = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as {
    readonly version: string
    readonly dependencies: Readonly<Record<string, string>>
  }
  t.same([...doors.keys()].sort(), Object.keys(manifest.dependencies).sort(), 'every dependency is used, and declared')
  t.equal(version, manifest.version)
  const reasons = readFileSync(join(root, 'docs/dependencies.md'), 'utf8')
  for (const name of doors.keys()) t.match(reasons, new RegExp(`\`${name}\``), `${name} has its reason in docs/`)
})

t.test('what a deployment must not pay for is loaded late', async (t) => {
  const heavy = ['acme-client', 'ali-oss', 'execa', '@peculiar/x509', '@alicloud/credentials', 'reflect-metadata']
  const early = files.filter((file) =>
    new RegExp(`^import (?!type)[^\\n]*'(${heavy.join('|')})'`, 'm').test(readFileSync(join(source, file), 'utf8')),
  )
  t.same(early, [])
})

t.test('only the command line prints, exits, and reads the environment, the arguments and the clock', async (t) => {
  const forbidden = /\bconsole\.|\bprocess\.(exit|env|argv|stdout|stderr|stdin)\b|\bnew Date\(\)|\bDate\.now\(\)/
  const readers = files.filter(
    (file) =>
      roomOf(file) !== 'cli' &&
      forbidden.test(readFileSync(join(source, file), 'utf8').replace(/^\s*(\/\/|\*).*$/gm, '')),
  )
  // A heartbeat is reckoned against the times that the file system gives its files.
  t.same(readers, ['state/lock.ts'])
})

t.test('a certificate is read without files, network or clock', async (t) => {
  const builtins = imports.filter(({ from, to }) => roomOf(from) === 'certificate' && isBuiltin(to)).map(({ to }) => to)
  t.same([...new Set(builtins)].sort(), ['node:crypto', 'node:net', 'node:url'])
})

t.test('the face of the library', async (t) => {
  t.same(Object.keys(library).sort(), [
    'CertError',
    'HttpConnections',
    'Secret',
    'StateFolder',
    'archiveName',
    'covers',
    'createTarget',
    'defaultCredentials',
    'deploy',
    'execute',
    'fullchain',
    'isInputError',
    'normalize',
    'planDeployment',
  ])
})
