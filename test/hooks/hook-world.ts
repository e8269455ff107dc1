// What the tests of the hooks share: the scripts as install.sh puts them, a command behind them that is either ours or
// one that writes down how it was called, and a way to run a program with nothing but what it is given.
import { spawn } from 'node:child_process'
import { createPrivateKey as privateKey, X509Certificate } from 'node:crypto'
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { delimiter, dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { Test } from 'tap'
import { bucket, deploymentsIn, prefix, region, type World } from '../deploy-world.js'
import type { Pebble } from '../pebble.js'
import { commandLine } from '../run-command.js'

export const projectRoot = fileURLToPath(new URL('../../..', import.meta.url))

export type HookScript = 'certbot/acme-oss' | 'acme.sh/acme_oss.sh' | 'dehydrated/acme-oss.sh' | 'with-environment'

export const scriptText = (script: HookScript): string => readFileSync(join(projectRoot, 'hooks', script), 'utf8')

export const makeFolder = (t: Test): string => {
  const folder = mkdtempSync(join(tmpdir(), 'acme-oss-hooks-'))
  t.teardown(() => rmSync(folder, { recursive: true, force: true }))
  return folder
}

export const quoted = (word: string): string => `'${word.replaceAll("'", "'\\''")}'`

export const writeExecutable = (file: string, text: string): string => {
  mkdirSync(dirname(file), { recursive: true })
  writeFileSync(file, text, { mode: 0o755 })
  return file
}

/** A copy of the script at this place, with the absolute paths that install.sh gives it. */
export const installScript = (
  script: HookScript,
  file: string,
  paths: { readonly command?: string; readonly environmentFile?: string },
): string => {
  const { command = 'acme-oss', environmentFile = '/nonexistent/env' } = paths
  const runner = script === 'with-environment' ? file : `${file}.with-environment`
  const text = (of: HookScript): string =>
    scriptText(of)
      .replace(/^acme_oss=acme-oss$/m, () => `acme_oss=${quoted(command)}`)
      .replace(/with_environment=\/usr.*$/m, () => `with_environment=${quoted(runner)}`)
      .replace('acme_oss_environment=/etc/acme-oss/env', () => `acme_oss_environment=${quoted(environmentFile)}`)
  writeExecutable(runner, text('with-environment'))
  return writeExecutable(file, text(script))
}

export interface Ended {
  readonly code: number | null
  readonly stdout: string
  readonly stderr: string
}

/** Runs a program with this environment and no other. */
export const runProgram = (
  program: string,
  words: readonly string[],
  environment: Readonly<Record<string, string>> = {},
  folder?: string,
): Promise<Ended> =>
  new Promise((resolve, reject) => {
    const child = spawn(program, words, { env: environment, cwd: folder, stdio: ['ignore', 'pipe', 'pipe'] })
    const [stdout, stderr]: [Buffer[], Buffer[]] = [[], []]
    child.stdout.on('data', (piece: Buffer) => stdout.push(piece))
    child.stderr.on('data', (piece: Buffer) => stderr.push(piece))
    // A client that waits for something that never comes must not outlive the test.
    const guard = setTimeout(() => child.kill('SIGKILL'), 100_000)
    child.on('error', reject)
    child.on('close', (code) => {
      clearTimeout(guard)
      resolve({ code, stdout: Buffer.concat(stdout).toString(), stderr: Buffer.concat(stderr).toString() })
    })
  })

// --- a command that writes down how it was called ---

export interface Recorder {
  readonly command: string
  /** The words of the last call; none when there was none. */
  words(): string[] | undefined
  environment(): Record<string, string>
  /** Forgets the last call. */
  clear(): void
}

const parts = (file: string): string[] => readFileSync(file, 'utf8').split('\0').slice(0, -1)

export const recorder = (folder: string, status = 0): Recorder => {
  // A quote and a blank, since the path of a command may have them.
  const command = join(folder, `it's recorded`, 'acme-oss')
  const [words, environment] = [`${command}.words`, `${command}.environment`]
  writeExecutable(
    command,
    `#!/bin/sh
: >"$0.words"
for word; do printf '%s\\0' "$word" >>"$0.words"; done
/usr/bin/env -0 >"$0.environment"
exit ${status}
`,
  )
  return {
    command,
    words: () => (existsSync(words) ? parts(words) : undefined),
    environment: () =>
      Object.fromEntries(
        parts(environment).map((entry) => [entry.replace(/=[\s\S]*/, ''), entry.replace(/^[^=]*=/, '')]),
      ),
    clear: () => rmSync(words, { force: true }),
  }
}

// --- our own command, as it is installed: by a wrapper, with its settings in a file ---

export interface Installed {
  readonly command: string
  readonly environmentFile: string
}

export const installCommand = (world: World): Installed => {
  const [program, words] = commandLine([])
  const command = writeExecutable(
    world.path('bin', 'acme-oss'),
    `#!/bin/sh\nexec ${[program, ...words].map(quoted).join(' ')} "$@"\n`,
  )
  const environmentFile = world.file(
    'env',
    Object.entries(settings(world))
      .map(([name, value]) => `${name}=${value}\n`)
      .join(''),
  )
  return { command, environmentFile }
}

/** What leads to the world's bucket, for the file and for `sync`. */
export const settings = (world: World): Record<string, string> => ({
  ALIBABA_CLOUD_ACCESS_KEY_ID: world.key.id,
  ALIBABA_CLOUD_ACCESS_KEY_SECRET: world.key.secret,
  ALIBABA_CLOUD_ECS_METADATA_DISABLED: 'true',
  ACME_OSS_STATE_DIR: world.state,
  ACME_OSS_BUCKET: bucket,
  ACME_OSS_REGION: region,
  ACME_OSS_PREFIX: prefix,
  ACME_OSS_ENDPOINT: world.emulator.url,
  ACME_OSS_TIMEOUT: '2',
})

/** What the timer runs. */
export const sync = (world: World, words: readonly string[] = []): Promise<Ended> =>
  world.run(['sync', ...words], { environment: settings(world) })

// --- what has to come of it ---

/** `latest/` holds this certificate and its key, and the archive was written before it. */
export const servesFiles = (t: Test, world: World, fullchain: string, key: string): void => {
  const text = (file: string): string => world.objects.get(`${prefix}latest/${file}`)?.body.toString() ?? ''
  const leaf = new X509Certificate(readFileSync(fullchain))
  t.equal(text('cert.pem') && new X509Certificate(text('cert.pem')).fingerprint256, leaf.fingerprint256)
  t.same(pemBodies(text('fullchain.pem')), pemBodies(readFileSync(fullchain, 'utf8')))
  t.match(text('privkey.pem'), /^-----BEGIN PRIVATE KEY-----\n/)
  t.ok(leaf.checkPrivateKey(privateKey(text('privkey.pem'))), 'the key in the bucket is its key')
  t.ok(leaf.checkPrivateKey(privateKey(readFileSync(key, 'utf8'))), 'as is the one of the client')
  t.match(text('README.md'), /^---\narchive: /)
}

const pemBodies = (text: string): string[] =>
  (text.match(/-----BEGIN CERTIFICATE-----[\s\S]*?-----END CERTIFICATE-----/g) ?? []).map((one) =>
    one.replace(/\s/g, ''),
  )

/** The archives in the bucket, oldest first where their days differ. */
export const archives = (world: World): string[] => [
  ...new Set(
    [...world.objects.keys()]
      .map((key) => key.slice(prefix.length).split('/')[0] ?? '')
      .filter((folder) => folder !== 'latest'),
  ),
]

/** The names that something is recorded under, each once for each certificate; `keys` where one is still kept. */
export const recorded = (world: World): { name: string; keeps: boolean }[] =>
  deploymentsIn(world.state)
    .map(({ record, privateKey: kept }) => ({ name: record.name, keeps: kept !== undefined }))
    .sort((a, b) => a.name.localeCompare(b.name))

// --- real clients ---

/** Whether a command is installed, for tests to skip themselves. */
export const hasCommand = (command: string): boolean =>
  (process.env['PATH'] ?? '').split(delimiter).some((folder) => existsSync(join(folder, command)))

/** What a client needs of the environment to find its tools and to trust the CA's directory. */
export const clientEnvironment = (world: World, pebble: Pebble): Record<string, string> => ({
  PATH: process.env['PATH'] ?? '/usr/bin:/bin',
  HOME: world.folder,
  REQUESTS_CA_BUNDLE: pebble.caBundle,
  CURL_CA_BUNDLE: pebble.caBundle,
  LEGO_CA_CERTIFICATES: pebble.caBundle,
})

/** The cloud answers nothing but 503 until it is told otherwise. */
export const cloudDown = (world: World): { up(): void } => {
  const rule = world.emulator.fail({}, { status: 503, code: 'ServiceUnavailable' })
  return { up: () => rule.remove() }
}
