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
        directory: 'https://ca.invalid/dir',
        ca: 'ca.invalid',
        keyType: 'ec256',
        solver: { solver: 'standalone', challenge: 'http-01' },
      },
      deploy: [],
    },
    source: {
      collect: async () => {
        // What the certificates are kept in can no longer be made, as on a disk that filled up meanwhile.
        writeFileSync(join(root, 'certificates'), '')
        return { name: undefined, certificates: material.fullchain, privateKey: new Secret(material.key) }
      },
    },
    state: await StateFolder.open(root),
    now: () => new Date(),
    signal: new AbortController().signal,
    force: false,
    onWait: () => undefined,
  })
  t.equal(obtained.ordered, true)
  t.equal(obtained.bundle.leaf, material.leaf)
  t.match(obtained.warnings, [/^the certificate could not be kept, so the next run orders another: .*certificates/])
})
