// node build-test/bench/renew.js [names] [runs]
// What a timer runs every ten minutes, where nothing is to be done: over so many names, each with one deployment that is
// in place, beside `node -e 0`, which no command of ours can beat. The runs take turns, so that a machine that drifts
// hits all of them alike.
import { cpSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { keyPem, mintAuthority, mintLeaf } from '../test/mint.js'
import { command, costsOf, requireDone, row, run, summary } from './measure.js'

const names = Number(process.argv[2] ?? 10_000)
const runs = Number(process.argv[3] ?? 7)
const folder = mkdtempSync(join(tmpdir(), 'acme-oss-bench-'))
const state = join(folder, 'state')
const nameOf = (i: number): string => `n${i}.example.com`

/** One real deployment, and the same under all the other names. */
const fillState = async (): Promise<void> => {
  const root = await mintAuthority()
  const issuer = await mintAuthority({ issuer: root })
  const leaf = await mintLeaf({ issuer, names: [nameOf(0), `www.${nameOf(0)}`] })
  const [pem, key] = [join(folder, 'fullchain.pem'), join(folder, 'privkey.pem')]
  writeFileSync(pem, leaf.pem + issuer.pem)
  writeFileSync(key, keyPem(leaf.key, 'pkcs8'))
  const words = ['--directory', join(folder, 'out'), '--state-dir', state]
  requireDone(await run([command, 'deploy', '--fullchain', pem, '--key', key, ...words]))
  const deployments = join(state, 'deployments')
  const [id = ''] = readdirSync(join(deployments, nameOf(0)))
  const first = join(deployments, nameOf(0), id)
  const record = readFileSync(join(first, 'record.json'), 'utf8')
  for (let i = 1; i < names; i++) {
    const copy = join(deployments, nameOf(i), id)
    mkdirSync(join(deployments, nameOf(i)), { mode: 0o700 })
    cpSync(first, copy, { recursive: true })
    writeFileSync(join(copy, 'record.json'), record.replaceAll(nameOf(0), nameOf(i)), { mode: 0o600 })
  }
}

/** What our issuer would remember of each, renewed three weeks ago; its CA is asked for advice tomorrow. */
const rememberIssued = (): void => {
  const day = 86_400_000
  const at = (days: number): string => new Date(Date.now() + days * day).toISOString()
  for (let i = 0; i < names; i++) {
    const name = nameOf(i)
    const folder = join(state, 'certificates', name)
    mkdirSync(folder, { recursive: true, mode: 0o700 })
    const directory = 'https://acme-v02.api.letsencrypt.org/directory'
    const record = {
      schema: 2,
      name,
      names: [name, `www.${name}`],
      issue: {
        ca: [{ name: 'letsencrypt', directory }],
        agreeTos: true,
        keyType: 'ec256',
        reuseKey: false,
        caTimeout: 600,
        solver: { solver: 'webroot', challenge: 'http-01', webroot: '/var/www/html' },
        eab: {},
      },
      deploy: [{ kind: 'directory', settings: { path: `/etc/ssl/${name}` } }],
      current: {
        id: i.toString(16).padStart(12, '0'),
        notBefore: at(-21),
        notAfter: at(69),
        directory,
        keyType: 'ec256',
        renewalId: `aYhba4dGQEHhs3uEe6CuLN4ByNQ.${i}`,
        advice: { window: { start: at(38), end: at(40) }, at: at(39), nextLook: at(1) },
      },
    }
    writeFileSync(join(folder, 'certificate.json'), `${JSON.stringify(record, null, 2)}\n`, { mode: 0o600 })
  }
}

const entry = (i: number): string => `  ${nameOf(i)}:
    domains: [${nameOf(i)}, www.${nameOf(i)}]
    issue: { ca: letsencrypt, challenge: http-01, solver: webroot, webroot: /var/www/html }
    deploy:
      - directory: { path: /etc/ssl/${nameOf(i)} }
`

/** What every command does that looks into the configuration, and nothing else. */
const readConfig = (path: string): readonly string[] => {
  const built = (file: string): string => JSON.stringify(join(command, '../../../build', file))
  const script = `
    const { loadConfig } = await import(${built('config/load.js')})
    const { configCache } = await import(${built('state/config-cache.js')})
    const { StateFolder } = await import(${built('state/state-folder.js')})
    const { targetOptions } = await import(${built('targets/index.js')})
    await loadConfig(${JSON.stringify(path)}, targetOptions, configCache(StateFolder.at(${JSON.stringify(state)})))`
  return ['--input-type=module', '-e', script]
}

interface Measured {
  readonly what: string
  readonly words: readonly string[]
  readonly before?: () => void
}

try {
  await fillState()
  rememberIssued()
  const config = join(folder, 'acme-oss.yaml')
  writeFileSync(config, `certificates:\n${Array.from({ length: names }, (_, i) => entry(i)).join('')}`)
  const at = ['--state-dir', state]
  const all: readonly Measured[] = [
    { what: '`node -e 0`', words: ['-e', '0'] },
    { what: '`acme-oss sync`, nothing to do', words: [command, 'sync', ...at] },
    { what: '`acme-oss renew`, nothing due, as remembered', words: [command, 'renew', ...at] },
    { what: '`acme-oss renew`, nothing due, as configured', words: [command, 'renew', ...at, '--config', config] },
    { what: '`acme-oss status --no-look --json`', words: [command, 'status', '--no-look', '--json', ...at] },
    {
      what: 'reading the configuration, after a change',
      words: readConfig(config),
      before: () => rmSync(join(state, 'cache'), { recursive: true, force: true }),
    },
    { what: 'reading the configuration, as it was', words: readConfig(config) },
  ]
  const times = new Map<string, number[]>()
  for (let i = 0; i < runs; i++) {
    for (const { what, words, before } of all) {
      before?.()
      const done = await run(words)
      requireDone(done)
      times.set(what, [...(times.get(what) ?? []), done.ms])
    }
  }
  row(`with ${names} names`, 'ms, median (min-max)', 'of processors, ms', 'peak memory, MiB')
  row('---', '---', '---', '---')
  for (const { what, words, before } of all) {
    before?.()
    const { busy, memory } = await costsOf(words)
    row(what, summary(times.get(what) ?? []), busy, memory)
  }
} finally {
  rmSync(folder, { recursive: true, force: true })
}
