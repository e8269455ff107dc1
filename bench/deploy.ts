// node build-test/bench/deploy.js [runs]
// How long `deploy` takes into an OSS bucket, beside `node -e 0`, which no command of ours can beat. The runs take turns,
// so that a machine that drifts hits all of them alike.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { startDelayProxy } from '../test/delay-proxy.js'
import { startEmulator } from '../test/emulator/emulator.js'
import { keyPem, mintAuthority, mintLeaf } from '../test/mint.js'
import { command, requireDone, row, run, summary } from './measure.js'

const runs = Number(process.argv[2] ?? 9)
const folder = mkdtempSync(join(tmpdir(), 'acme-oss-bench-'))
const key = { id: 'bench-access-key-id', secret: 'bench-access-key-secret' }
const environment = { ALIBABA_CLOUD_ACCESS_KEY_ID: key.id, ALIBABA_CLOUD_ACCESS_KEY_SECRET: key.secret }

const emulator = await startEmulator()
emulator.addBucket('my-ssl-certs', { region: 'cn-hangzhou' })
emulator.addKey({ ...key, allow: [{ action: 'oss:*', resource: '*' }] })
const root = await mintAuthority()
const issuer = await mintAuthority({ issuer: root })

const mint = async (name: string): Promise<string[]> => {
  const leaf = await mintLeaf({ issuer, names: [name] })
  writeFileSync(join(folder, `${name}.pem`), leaf.pem + issuer.pem)
  writeFileSync(join(folder, `${name}.key`), keyPem(leaf.key, 'pkcs8'))
  return ['--fullchain', join(folder, `${name}.pem`), '--key', join(folder, `${name}.key`)]
}

try {
  const near = await startDelayProxy({ target: emulator.port, roundTripMs: 0 })
  const far = await startDelayProxy({ target: emulator.port, roundTripMs: 100 })
  const times = new Map<string, number[]>()
  const waits: number[] = []
  const keep = (what: string, ms: number) => times.set(what, [...(times.get(what) ?? []), ms])
  const deploy = async (what: string, files: readonly string[], port: number): Promise<void> => {
    const target = ['--bucket', 'my-ssl-certs', '--region', 'cn-hangzhou', '--endpoint', `http://127.0.0.1:${port}`]
    const done = await run([command, 'deploy', ...files, ...target, '--state-dir', join(folder, 'state')], environment)
    requireDone(done)
    keep(what, done.ms)
  }
  for (let i = 0; i < runs; i++) {
    keep('node -e 0', (await run(['-e', '0'])).ms)
    keep('acme-oss --version', (await run([command, '--version'])).ms)
    const files = await mint(`near${i}.example.com`)
    await deploy('deploy, new certificate, RTT 0', files, near.port)
    await deploy('deploy, nothing to do, RTT 0', files, near.port)
    far.reset()
    await deploy('deploy, new certificate, RTT 100 ms', await mint(`far${i}.example.com`), far.port)
    waits.push(far.depth())
  }
  row('command', 'ms, median (min-max)')
  row('---', '---')
  for (const [what, all] of times) row(what, summary(all))
  row('waits in a row of a new certificate (plain http: no TLS handshake)', summary(waits))
  await Promise.all([near.close(), far.close()])
} finally {
  await emulator.close()
  rmSync(folder, { recursive: true, force: true })
}
