// node build-test/bench/deploy.js [runs]
// How long `deploy` takes into an OSS bucket, and with that onto a bound domain and a CDN domain, beside `node -e 0`, which no command of ours can beat. The runs take turns,
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
emulator.addKey({ ...key, allow: [{ action: '*', resource: '*' }] })
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
  const waits = new Map<string, number[]>()
  const keep = (what: string, ms: number) => times.set(what, [...(times.get(what) ?? []), ms])
  const deploy = async (what: string, files: readonly string[], port: number, more: readonly string[] = []) => {
    const url = `http://127.0.0.1:${port}`
    const target = [
      '--bucket',
      'my-ssl-certs',
      '--region',
      'cn-hangzhou',
      '--endpoint',
      url,
      '--cdn-endpoint',
      url,
      ...more,
    ]
    const done = await run([command, 'deploy', ...files, ...target, '--state-dir', join(folder, 'state')], environment)
    requireDone(done)
    keep(what, done.ms)
  }
  /** A certificate with a domain that is bound to the bucket, and one of CDN. */
  const everywhere = async (name: string): Promise<readonly [files: string[], targets: string[]]> => {
    emulator.bindCname(name, 'my-ssl-certs')
    emulator.addCdnDomain(name, { https: true })
    return [await mint(name), ['--oss-cname', name, '--cdn-domain', name]]
  }
  const deployFar = async (what: string, files: readonly string[], targets: readonly string[] = []) => {
    far.reset()
    await deploy(what, files, far.port, targets)
    waits.set(what, [...(waits.get(what) ?? []), far.depth()])
  }
  for (let i = 0; i < runs; i++) {
    keep('node -e 0', (await run(['-e', '0'])).ms)
    keep('acme-oss --version', (await run([command, '--version'])).ms)
    const files = await mint(`near${i}.example.com`)
    await deploy('deploy, new certificate, RTT 0', files, near.port)
    await deploy('deploy, nothing to do, RTT 0', files, near.port)
    await deployFar('deploy, new certificate, RTT 100 ms', await mint(`far${i}.example.com`))
    const [nearFiles, nearTargets] = await everywhere(`allnear${i}.example.com`)
    await deploy('deploy with CNAME and CDN, new certificate, RTT 0', nearFiles, near.port, nearTargets)
    await deploy('deploy with CNAME and CDN, nothing to do, RTT 0', nearFiles, near.port, nearTargets)
    await deployFar(
      'deploy with CNAME and CDN, new certificate, RTT 100 ms',
      ...(await everywhere(`allfar${i}.example.com`)),
    )
  }
  row('command', 'ms, median (min-max)')
  row('---', '---')
  for (const [what, all] of times) row(what, summary(all))
  row('waits in a row (plain http: no TLS handshake)', '')
  for (const [what, all] of waits) row(what, summary(all))
  await Promise.all([near.close(), far.close()])
} finally {
  await emulator.close()
  rmSync(folder, { recursive: true, force: true })
}
