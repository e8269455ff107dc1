import { normalize } from '../certificate/normalize.js'
import { CertError } from '../errors.js'
import { pemFiles } from '../sources/files.js'
import { alerted } from './alerted.js'
import { defineCommand } from './command.js'
import { commonFlags, deployFlags, openState } from './common-flags.js'
import { carryOutAlone, openReach, showPlanAlone } from './deployment.js'
import { text } from './flag.js'
import { askedTargets, targetFlags } from './target-flags.js'
import { Terminal, wantsColor } from './terminal.js'
import { openConfig, wantedTargets } from './wanted-targets.js'

const name = 'deploy'

export const command = defineCommand({
  name,
  summary: 'Deploys a certificate that lies in PEM files.',
  flags: {
    fullchain: text('certificate and intermediates, and perhaps the key; - for standard input', {
      placeholder: 'FILE',
    }),
    key: text('the private key', { placeholder: 'FILE' }),
    cert: text('the certificate alone, where there is no full chain', { placeholder: 'FILE' }),
    chain: text('the intermediates alone', { placeholder: 'FILE' }),
    ...targetFlags,
    ...deployFlags,
    ...commonFlags,
  },
  examples: [
    [
      'acme-oss deploy --fullchain fullchain.pem --key privkey.pem --bucket my-ssl-certs --region cn-hangzhou --prefix certs/example.com/',
      'into a bucket',
    ],
    [
      'cat fullchain.pem privkey.pem | acme-oss deploy --fullchain - --region cn-hangzhou --oss-cname site/static.example.com --cdn-domain auto --verify',
      'onto a bound domain and all CDN domains that it covers, until they serve it',
    ],
  ],
  run: alerted({ command: name, typed: true }, async (values, surroundings) => {
    const terminal = new Terminal(surroundings, { ...values, color: wantsColor(values['no-color'], surroundings) })
    const certificates = [values.fullchain, values.cert, values.chain].filter((path) => path !== undefined)
    if (values.fullchain === undefined && values.cert === undefined) {
      throw new CertError('USAGE', 'no certificate is given', {
        hint: 'add --fullchain fullchain.pem --key privkey.pem, or --fullchain - to read both from standard input',
      })
    }
    const config = () => openConfig(values, surroundings, true)
    const wish = { values, targetValues: () => values, config, surroundings, terminal, typed: true }
    const source = pemFiles({ name: values.name, certificates, key: values.key }, surroundings.input)
    const reach = openReach(values, surroundings, terminal)
    try {
      // What is wrong with the targets is said before anything is read from standard input.
      reach.targets(askedTargets(values))
      const { bundle, warnings } = normalize(await source.collect(surroundings.signal), surroundings.now())
      const targets = reach.targets(await wantedTargets(wish, bundle))
      const request = { command: name, json: values.json, bundle, targets, warnings, terminal }
      if (values['dry-run']) return showPlanAlone(request)
      const state = await openState(values, surroundings)
      // Whoever types this knows which certificate it is.
      return await carryOutAlone({ ...request, hold: 'end', state, surroundings })
    } finally {
      reach.connections.close()
    }
  }),
})
