/* Gradient descent in C with a gradient that rlxc has made: value and gradient of @loss in mlp.rlx. */

#include <stdio.h>
#include <stdlib.h>
#include "mlp.h"

enum { B = MLP_LOSS_VALUE_AND_GRAD_LABELS_SIZE, PIXELS = 784, PARAMS = 6 };

static float uniform(void) { return (float)rand() / (float)RAND_MAX - 0.5f; }

static float *array(size_t size, float scale) {
  float *a = malloc(size * sizeof *a);
  if (!a) exit(1);
  for (size_t i = 0; i < size; i++) a[i] = scale * uniform();
  return a;
}

int main(void) {
  static const size_t sizes[PARAMS] = {
      MLP_LOSS_VALUE_AND_GRAD_W1_SIZE, MLP_LOSS_VALUE_AND_GRAD_B1_SIZE, MLP_LOSS_VALUE_AND_GRAD_W2_SIZE,
      MLP_LOSS_VALUE_AND_GRAD_B2_SIZE, MLP_LOSS_VALUE_AND_GRAD_W3_SIZE, MLP_LOSS_VALUE_AND_GRAD_B3_SIZE,
  };
  float *w[PARAMS], *dw[PARAMS], *x = array(B * PIXELS, 2), loss = 0;
  int32_t labels[B];
  for (int i = 0; i < B; i++) labels[i] = rand() % 10;
  for (int p = 0; p < PARAMS; p++) w[p] = array(sizes[p], 0.1f), dw[p] = array(sizes[p], 0);
  void *workspace = malloc(MLP_LOSS_VALUE_AND_GRAD_WORKSPACE_SIZE);

  for (int step = 0; step <= 50; step++) {
    int code = mlp_loss_value_and_grad(x, labels, w[0], w[1], w[2], w[3], w[4], w[5],
                                       &loss, dw[0], dw[1], dw[2], dw[3], dw[4], dw[5], workspace);
    if (code != RLXC_OK) return code;
    if (step % 10 == 0) printf("step %2d  loss %.4f\n", step, loss);
    for (int p = 0; p < PARAMS; p++)
      for (size_t i = 0; i < sizes[p]; i++) w[p][i] -= 0.1f * dw[p][i];
  }

  for (int p = 0; p < PARAMS; p++) free(w[p]), free(dw[p]);
  free(x);
  free(workspace);
  return 0;
}
