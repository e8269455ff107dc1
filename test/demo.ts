// What `./install.sh --demo` runs: a CA (Pebble) and an object store (the emulator) on this machine alone, and the
// built command between them, as one would type it.
import { spawn } from 'node:child_process'
import { X509Certificate } from 'node:crypto'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { startEmulator } from './emulator/emulator.js'
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

const demo = async (folder: string): Promise<number> => {
  const [pebble, emulator] = await timed('starting a CA (Pebble) and an object store (emulator) on loopback', () =>
    Promise.all([startPebble(), startEmulator()]),
  )
  try {
    emulator.addBucket(bucket, { region: 'cn-hangzhou' })
    const key = { id: 'demo-access-key-id', secret: 'demo-access-key-secret' }
    // No more than the policy in the README grants.
    emulator.addKey({
      ...key,
      allow: [{ action: ['oss:PutObject', 'oss:PutObjectAcl'], resource: `${bucket}/${prefix}*` }],
    })
    const environment = { ALIBABA_CLOUD_ACCESS_KEY_ID: key.id, ALIBABA_CLOUD_ACCESS_KEY_SECRET: key.secret }
    const words = [
      ...['issue-and-deploy', '-d', 'example.com', '-d', 'www.example.com'],
      ...['--ca', pebble.directoryUrl, '--ca-bundle', pebble.caBundle, '--agree-tos', '--email', 'ops@example.com'],
      ...['--http-port', String(pebble.httpPort), '--state-dir', join(folder, 'state')],
      ...['--bucket', bucket, '--region', 'cn-hangzhou', '--prefix', prefix, '--endpoint', emulator.url],
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
    return 0
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
