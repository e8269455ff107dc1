// What `./install.sh --demo` runs: a CA (Pebble) and a cloud (the emulator) on this machine alone, and the built command
// between them, as one would type it.
import { execFileSync, spawn } from 'node:child_process'
import { X509Certificate } from 'node:crypto'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { startEmulator } from './emulator/emulator.js'
import type { Statement } from './emulator/permissions.js'
import { startPebble } from './pebble.js'

const command = fileURLToPath(new URL('../../dist/cli/main.js', import.meta.url))
const bucket = 'my-ssl-certs'
const prefix = 'certs/example.com/'
const latest = `${prefix}latest/`

const times: [what: string, ms: number][] = []

const timed = async <T>(what: string, work: () => Promise<T>): Promise<T> => {
  const start = performance.now()
  try {
    return await work()
  } finally {
    times.push([what, performance.now() - start])
  }
}

const say = (line = ''): void => void process.stdout.write(`${line}\n`)

const run = (words: readonly string[], environment: Readonly<Record<string, string>>): Promise<number> => {
  say(`$ acme-oss ${words.map((word) => (/^[\w./:=-]+$/.test(word) ? word : `'${word}'`)).join(' ')}`)
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, [command, ...words], {
      env: { PATH: process.env['PATH'], HOME: process.env['HOME'], ...environment },
      stdio: 'inherit',
    })
    child.on('error', reject)
    child.on('exit', (code) => resolve(code ?? 1))
  })
}

/** The access key may do what the command says that it has to, and no more. */
const grantedFor = (targets: readonly string[]): Statement[] => {
  const printed = execFileSync(process.execPath, [command, 'policy', '--json', ...targets], {
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'ignore'],
  })
  const { policy } = JSON.parse(printed) as { policy: { Statement: { Action: string[]; Resource: string[] }[] } }
  return policy.Statement.map(({ Action, Resource }) => ({ action: Action, resource: Resource }))
}

const demo = async (folder: string): Promise<number> => {
  const [pebble, emulator] = await timed('starting a CA (Pebble) and a cloud (emulator) on loopback', () =>
    Promise.all([startPebble(), startEmulator()]),
  )
  try {
    emulator.addBucket(bucket, { region: 'cn-hangzhou' })
    emulator.addBucket('site', { region: 'cn-hangzhou' })
    emulator.bindCname('static.example.com', 'site')
    emulator.addCdnDomain('www.example.com', { https: true })
    // What is bound is seen there a moment later, as in the real cloud.
    const edge = await emulator.startEdge({ delayMs: 1000 })
    const key = { id: 'demo-access-key-id', secret: 'demo-access-key-secret' }
    const targets = [
      ...['--bucket', bucket, '--region', 'cn-hangzhou', '--prefix', prefix],
      ...['--oss-cname', 'site/static.example.com', '--cdn-domain', 'auto', '--verify'],
      ...['--endpoint', emulator.url, '--cdn-endpoint', emulator.url],
    ]
    emulator.addKey({ ...key, allow: grantedFor(targets) })
    const environment = { ALIBABA_CLOUD_ACCESS_KEY_ID: key.id, ALIBABA_CLOUD_ACCESS_KEY_SECRET: key.secret }
    const there = ['--connect', `127.0.0.1:${edge.port}`]
    const words = [
      ...['issue-and-deploy', '-d', 'example.com', '-d', 'www.example.com', '-d', 'static.example.com'],
      ...['--ca', pebble.directoryUrl, '--ca-bundle', pebble.caBundle, '--agree-tos', '--email', 'ops@example.com'],
      ...['--http-port', String(pebble.httpPort), '--state-dir', join(folder, 'state')],
      ...targets,
      ...there,
    ]
    say()
    const first = await timed('issuing and deploying', () => run(words, environment))
    if (first !== 0) return first
    say()
    say('Once more: the certificate is not due, so none is ordered, and the archive is left as it is.')
    const second = await timed('the same command again', () => run(words, environment))
    if (second !== 0) return second
    const leaf = emulator.objects(bucket).get(`${latest}cert.pem`)?.body
    const issued = pebble.issued()
    if (leaf === undefined || issued !== 1)
      throw new Error(`latest/cert.pem is missing, or ${issued} certificates were issued`)
    const certificate = new X509Certificate(leaf)
    say()
    say('The bucket:')
    say(emulator.tree(bucket))
    say('The certificate in latest/:')
    say(`  names        ${certificate.subjectAltName?.replaceAll('DNS:', '') ?? ''}`)
    say(`  valid from   ${new Date(certificate.validFrom).toISOString()}`)
    say(`  valid until  ${new Date(certificate.validTo).toISOString()}`)
    say(`  issuer       ${certificate.issuer.replaceAll('\n', ', ')}`)
    say()
    say('What OSS hosts for the bound domain static.example.com:')
    say(`  certificate  ${emulator.cname('static.example.com')?.certificate?.certId ?? 'none'}`)
    say()
    say('The handshakes, once more by hand:')
    const sum = certificate.fingerprint256.replaceAll(':', '').toLowerCase()
    const hosts = ['static.example.com', 'www.example.com']
    return await timed('verifying', () => run(['verify', ...hosts, '--expect-sha256', sum, ...there], {}))
  } finally {
    await Promise.all([pebble.close(), emulator.close()])
  }
}

const folder = mkdtempSync(join(tmpdir(), 'acme-oss-demo-'))
try {
  process.exitCode = await timed('all of it', () => demo(folder))
  say()
  say('How long it took:')
  for (const [what, ms] of times) say(`  ${(ms / 1000).toFixed(2).padStart(6)} s  ${what}`)
} finally {
  rmSync(folder, { recursive: true, force: true })
}
