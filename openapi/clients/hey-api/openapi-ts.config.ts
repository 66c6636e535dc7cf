import { defineConfig } from '@hey-api/openapi-ts';

// Input and output are named on the command line.
export default defineConfig({
  input: '',
  output: '',
  plugins: ['@hey-api/client-fetch', '@hey-api/typescript', '@hey-api/sdk'],
});
