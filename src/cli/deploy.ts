import { normalize } from '../certificate/normalize.js'
import { CertError } from '../errors.js'
import { planDeployment } from '../pipeline/plan.js'
import { pemFiles } from '../sources/files.js'
import { defineCommand } from './command.js'
import { commonFlags, openState } from './common-flags.js'
import { carryOut, openReach, showPlan } from './deployment.js'
import { text } from './flag.js'
import { askedTargets, targetFlags } from './target-flags.js'
import { Terminal, wantsColor } from './terminal.js'

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
    ...commonFlags,
  },
  examples: [
    [
      'acme-oss deploy --fullchain fullchain.pem --key privkey.pem --bucket my-ssl-certs --region cn-hangzhou --prefix certs/example.com/',
      'into a bucket',
    ],
    ['cat fullchain.pem privkey.pem | acme-oss deploy --fullchain - --directory /etc/ssl/example.com', 'into a folder'],
  ],
  run: async (values, surroundings) => {
    const terminal = new Terminal(surroundings, { ...values, color: wantsColor(values['no-color'], surroundings) })
    const certificates = [values.fullchain, values.cert, values.chain].filter((path) => path !== undefined)
    if (values.fullchain === undefined && values.cert === undefined) {
      throw new CertError('USAGE', 'no certificate is given', {
        hint: 'add --fullchain fullchain.pem --key privkey.pem, or --fullchain - to read both from standard input',
      })
    }
    const asked = askedTargets(values)
    const reach = openReach(values.timeout, surroundings, terminal)
    try {
      const targets = reach.targets(asked)
      const source = pemFiles({ name: values.name, certificates, key: values.key }, surroundings.input)
      const { bundle, warnings } = normalize(await source.collect(surroundings.signal), surroundings.now())
      const request = { command: name, json: values.json, plan: planDeployment(bundle, targets), warnings, terminal }
      if (values['dry-run']) return showPlan(request)
      return await carryOut({ ...request, state: await openState(values, surroundings), surroundings })
    } finally {
      reach.connections.close()
    }
  },
})
