import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import { obtain } from '../../src/pipeline/obtain.js'
import { Secret } from '../../src/secret.js'
import { StateFolder } from '../../src/state/state-folder.js'
import { mintMaterial } from '../deploy-world.js'

t.test('a certificate that cannot be kept is handed on all the same', async (t) => {
  const root = mkdtempSync(join(tmpdir(), 'acme-oss-obtain-'))
  t.teardown(() => rmSync(root, { recursive: true }))
  const material = await mintMaterial()
  const obtained = await obtain({
    wanted: {
      name: 'example.com',
      names: material.names,
      issue: {
        ca: [{ name: 'ca.invalid', directory: 'https://ca.invalid/dir' }],
        agreeTos: true,
        keyType: 'ec256',
        reuseKey: false,
        caTimeout: 600,
        eab: {},
        solver: { solver: 'standalone', challenge: 'http-01' },
      },
      deploy: [],
    },
    issue: async () => {
      // What the certificates are kept in can no longer be made, as on a disk that filled up meanwhile.
      rmSync(join(root, 'certificates'), { recursive: true })
      writeFileSync(join(root, 'certificates'), '')
      const privateKey = new Secret(material.key)
      const kept = () => Promise.reject(new Error('it is not safe anywhere'))
      return {
        certificates: material.fullchain,
        privateKey,
        directory: 'https://ca.invalid/dir',
        ca: 'ca.invalid',
        stored: kept,
        kept,
      }
    },
    tidy: async () => undefined,
    state: await StateFolder.open(root),
    now: () => new Date(),
    signal: new AbortController().signal,
    force: false,
    onWait: () => undefined,
  })
  t.equal(obtained.ordered, true)
  t.equal(obtained.bundle.leaf, material.leaf)
  t.match(obtained.warnings, [
    /^the certificate could not be kept, so the next run fetches or orders it again: .*certificates/,
  ])
})
